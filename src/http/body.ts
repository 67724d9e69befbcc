import type { Clock } from "../core/clock.ts";
import { RemoteError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";
import { Late } from "./network.ts";

/**
 * Waits for some work, but not for ever.
 *
 * @param clock time.
 * @param ms how long to wait, in milliseconds.
 * @param what names what did not come, in the error.
 * @param work the work; it goes on unless the caller ends it.
 * @param signal ends the wait, too; work that ignores it is left alone.
 * @returns its result.
 * @throws Late when the time is over, the signal's reason, or what the work throws.
 */
export async function within<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const done = new AbortController();
  const end = (): void => done.abort(signal?.reason);
  signal?.addEventListener("abort", end, { once: true });
  if (signal?.aborted) end();
  const late = clock.sleep(ms, done.signal).then(() => {
    throw new Late(ms, what);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    signal?.removeEventListener("abort", end);
    done.abort();
  }
}

/** What a guarded body needs to know. */
export interface BodyGuard {
  /** Time. */
  clock: Clock;
  /** The longest pause between two chunks, in milliseconds. */
  idleMs: number;
  /** Ends the body. */
  signal: AbortSignal;
  /** Bytes that must come; `undefined` where the server does not say or they are encoded. */
  expected: number | undefined;
  /** Turns what is thrown into an error of ours. */
  translate: (error: unknown) => Error;
  /** Called once with the body's end, however it ends; `failed` tells to hang up. */
  finish: (failed: boolean) => void;
}

/**
 * A body that cannot hang and cannot be cut short unnoticed. (Node's and Deno's `fetch` notice a missing rest
 * themselves; not every runtime does.)
 *
 * @param body the body as it comes from the network.
 * @param guard its limits.
 * @returns a stream that gives the same chunks, on demand.
 */
export function guardBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  guard: BodyGuard,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  let received = 0;
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await within(
            guard.clock,
            guard.idleMs,
            "further data",
            reader.read(),
            guard.signal,
          );
          if (!done) {
            received += value.byteLength;
            controller.enqueue(value);
            return;
          }
          if (guard.expected !== undefined && received < guard.expected) {
            throw new Error(`the answer ended after ${received} of ${guard.expected} bytes`);
          }
          guard.finish(false);
          controller.close();
        } catch (error) {
          const translated = guard.translate(error);
          guard.finish(true);
          controller.error(translated);
          reader.cancel().catch(() => {});
        }
      },
      cancel(reason) {
        guard.finish(true);
        reader.cancel(reason).catch(() => {}); // Nobody waits for a connection to close.
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * Bytes that a body must have for its answer to be whole.
 *
 * @param method the method it answers.
 * @param response the answer.
 * @returns `Content-Length`, unless the runtime decodes the body on the way.
 */
export function expectedLength(method: string, response: Response): number | undefined {
  const length = response.headers.get("content-length") ?? "";
  const encoding = response.headers.get("content-encoding") ?? "identity";
  if (method === "HEAD" || encoding !== "identity" || !/^\d{1,15}$/.test(length)) return undefined;
  return Number(length);
}

/**
 * Reads a body as text.
 *
 * @param response the answer; a missing body is an empty text.
 * @param maxBytes what it may have at most.
 * @param url the address, for the error.
 * @param signal hangs up when the next chunk comes.
 * @returns the text, decoded as UTF-8.
 * @throws RemoteError when it is longer; the signal's reason.
 */
export async function readText(
  response: Response,
  maxBytes: number,
  url: URL,
  signal?: AbortSignal,
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
        `Cannot read ${redactUrl(url)}: the answer is larger than ${maxBytes} bytes`,
        { url: redactUrl(url), status: response.status, retryable: false },
      );
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/**
 * Reads the start of a body and lets the rest go; for error messages, so that it never throws.
 *
 * @param response the answer.
 * @param maxBytes what is read at most.
 * @returns the text so far.
 */
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
    // The status alone is reason enough for the error that is being written.
  }
  return text;
}

/** Chunks of a stream; leaving the loop early cancels it. (Async iteration is missing in some runtimes.) */
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
