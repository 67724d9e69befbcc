import type { ListedVersion, RegistryOptions, Resolution } from "dewy";

/** Expects a rejection with a DewyError of this code, whose message matches. */
export async function rejects(
  promise: Promise<unknown>,
  code: string,
  message: RegExp = /^/,
): Promise<void> {
  const error: { code?: unknown; message?: unknown } = await promise.then(
    (value) => ({ message: `no error, but ${JSON.stringify(value)}` }),
    (thrown) => thrown,
  );
  if (error.code !== code || !message.test(String(error.message))) {
    throw new Error(`expected ${code} ${message}, got ${error.code}: ${error.message}`);
  }
}

export function assertReady<T extends Resolution>(answer: T): Extract<T, { kind: "ready" }> {
  if (answer.kind === "ready") return answer as Extract<T, { kind: "ready" }>;
  throw new Error(`not ready: ${JSON.stringify(answer)}`);
}

/**
 * Reads a stream to its end. `new Response(stream).text()` reports every failure as "Failed to fetch"
 * in Chromium.
 */
export async function textOf(stream: ReadableStream<Uint8Array> | null): Promise<string> {
  const reader = stream?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
  }
}

export const LINUX: NonNullable<RegistryOptions["platform"]> = { os: "linux", arch: "amd64" };

/** Reads everything that a sequence yields. */
export async function listOf<T>(sequence: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of sequence) all.push(one);
  return all;
}

export function tagsOf(listed: readonly ListedVersion[]): string[] {
  return listed.map(({ tag }) => tag);
}
