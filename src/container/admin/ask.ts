import * as v from "valibot";
import { RemoteError } from "../../core/error.ts";
import type { AdminContainer } from "./container.ts";

/** How long one dewy may take to answer, in milliseconds: it asks its engine. */
const ANSWER_MS = 15_000;
const MAX_REASON = 500;

const text = v.nullish(v.string(), "");
const Answer = v.object({
  containers: v.nullable(
    v.array(
      v.object({
        id: text,
        name: v.string(),
        image: text,
        status: text,
        state: v.exactOptional(v.string()),
        ip_port: text,
        started_at: text,
        deployed_at: text,
        labels: v.nullish(v.record(v.string(), v.string()), {}),
      }),
    ),
  ),
});

/**
 * Asks the admin API of one dewy for its containers.
 *
 * @param port the port on loopback.
 * @param fetch the network.
 * @param signal ends the question.
 * @returns the containers; `undefined` when no dewy answers there.
 * @throws RemoteError when one does that cannot tell.
 */
export async function askAdmin(
  port: number,
  fetch: typeof globalThis.fetch,
  signal: AbortSignal,
): Promise<readonly AdminContainer[] | undefined> {
  const url = `http://127.0.0.1:${port}/api/containers`;
  const answer = await get(url, fetch, signal);
  if (answer === undefined) return undefined;
  const { status, body } = answer;
  if (status === 200) return readContainers(body);
  // Any program may have the port, and say what it likes of a path that it does not know.
  if (status < 500) return undefined;
  const reason = body.trim() === "" ? "" : `: ${body.trim().slice(0, MAX_REASON)}`;
  throw new RemoteError(`admin API returned status ${status}${reason}`, {
    method: "GET",
    url,
    status,
  });
}

async function get(
  url: string,
  fetch: typeof globalThis.fetch,
  signal: AbortSignal,
): Promise<{ status: number; body: string } | undefined> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
  try {
    const response = await fetch(url, { signal: either, redirect: "manual" });
    return { status: response.status, body: await response.text() };
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function readContainers(body: string): readonly AdminContainer[] | undefined {
  const answer = v.safeParse(v.pipe(v.string(), v.parseJson(), Answer), body);
  return answer.success ? (answer.output.containers ?? []) : undefined;
}
