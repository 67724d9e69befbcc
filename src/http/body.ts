import type { Clock } from "../core/clock.ts";
import { RemoteError } from "../core/error.ts";
import { withTimeout } from "../core/timeout.ts";
import { redactUrl } from "../core/url.ts";

export interface BodyGuard {
  clock: Clock;
  /** The longest pause between two chunks, in milliseconds. */
  idleMs: number;
  signal: AbortSignal;
  /** The length of the body in bytes; `undefined` if the server does not state it or the runtime decodes the body. */
  expected: number | undefined;
  toError: (cause: unknown) => Error;
  /** Called once at the end; `failed` means that the connection must be closed. */
  finish: (failed: boolean) => void;
}

/**
 * Makes a body fail when it stalls or ends early. (Node's and Deno's `fetch` notice a truncated body themselves; not
 * every runtime does.) Chunks are pulled on demand.
 */
export function guardBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  guard: BodyGuard,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const { clock, idleMs, signal, expected } = guard;
  const idle = { clock, ms: idleMs, what: "further data", signal };
  const reader = body.getReader();
  let received = 0;
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await withTimeout(reader.read(), idle);
          if (!done) {
            received += value.byteLength;
            controller.enqueue(value);
            return;
          }
          if (expected !== undefined && received < expected) {
            throw new Error(`the response ended after ${received} of ${expected} bytes`);
          }
          guard.finish(false);
          controller.close();
        } catch (cause) {
          const error = guard.toError(cause);
          guard.finish(true);
          controller.error(error);
          reader.cancel().catch(() => {});
        }
      },
      cancel(reason) {
        guard.finish(true);
        reader.cancel(reason).catch(() => {});
      },
    },
    { highWaterMark: 0 },
  );
}

/** The stated length of a body; `undefined` if there is none or the runtime decodes the body. */
export function contentLength({ headers }: Response): number | undefined {
  const length = headers.get("content-length") ?? "";
  return isEncoded(headers) || !/^\d{1,15}$/.test(length) ? undefined : Number(length);
}

/** Whether `fetch` decodes the body, so that lengths and positions differ from those that the server states. */
export function isEncoded(headers: Headers): boolean {
  return (headers.get("content-encoding") ?? "identity") !== "identity";
}

/** Does not wait for the connection to close. */
export function discardBody(response: Response): void {
  response.body?.cancel().catch(() => {});
}

export async function readText(
  response: Response,
  { maxBytes, url, signal }: { maxBytes: number; url: URL; signal?: AbortSignal },
): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let received = 0;
  for await (const chunk of chunksOf(response.body)) {
    signal?.throwIfAborted();
    received += chunk.byteLength;
    if (received > maxBytes) {
      throw new RemoteError(
        `Cannot read ${redactUrl(url)}: the response is larger than ${maxBytes} bytes`,
        { url: redactUrl(url), status: response.status, retryable: false },
      );
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Reads the start of a body for an error message. Never throws. */
export async function readStart(response: Response, maxBytes: number): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let received = 0;
  try {
    for await (const chunk of chunksOf(response.body)) {
      received += chunk.byteLength;
      text += decoder.decode(chunk, { stream: true });
      if (received >= maxBytes) break;
    }
  } catch {
    // The status alone is enough for the error that is being built.
  }
  return text;
}

/** Leaving the loop early cancels the stream. (Some runtimes lack async iteration of streams.) */
async function* chunksOf(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        ended = true;
        return;
      }
      yield value;
    }
  } finally {
    if (!ended) reader.cancel().catch(() => {});
  }
}
