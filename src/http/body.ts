import type { Clock } from "../core/clock.ts";
import { RemoteError } from "../core/error.ts";
import { type IdleWatch, TimeoutError, watchIdle } from "../core/timeout.ts";
import { redactUrl } from "../core/url.ts";

type Bytes = Uint8Array<ArrayBuffer>;

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
 * The chunks of a body, which fail when it stalls or ends early. (Node's and Deno's `fetch` notice a truncated body
 * themselves; not every runtime does.) They are read on demand. Leaving a loop over them early cancels the body.
 */
export class GuardedBody implements AsyncIterableIterator<Bytes, undefined> {
  readonly #reader: ReadableStreamDefaultReader<Bytes>;
  readonly #guard: BodyGuard;
  readonly #idle: IdleWatch;
  readonly #ended = new AbortController();
  #received = 0;
  #error: Error | undefined;
  #rejectRead: (error: Error) => void = () => {};

  constructor(body: ReadableStream<Bytes>, guard: BodyGuard) {
    const { clock, idleMs, signal } = guard;
    this.#reader = body.getReader();
    this.#guard = guard;
    this.#idle = watchIdle(clock, idleMs, this.#ended.signal, () =>
      this.#fail(new TimeoutError("further data", idleMs)),
    );
    if (signal.aborted) this.#stop();
    else signal.addEventListener("abort", this.#stop, { once: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Bytes, undefined>> {
    return new Promise((resolve, reject) => {
      if (this.#error !== undefined) return reject(this.#error);
      this.#rejectRead = reject;
      this.#idle.begin();
      this.#reader.read().then(
        (chunk) => {
          this.#idle.end();
          resolve(this.#accept(chunk));
        },
        (cause) => this.#fail(cause),
      );
    });
  }

  async return(): Promise<IteratorResult<Bytes, undefined>> {
    this.cancel();
    return { done: true, value: undefined };
  }

  cancel(reason?: unknown): void {
    this.#end(true);
    this.#reader.cancel(reason).catch(() => {});
  }

  toStream(): ReadableStream<Bytes> {
    return new ReadableStream(
      {
        pull: async (controller) => {
          const { done, value } = await this.next();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        cancel: (reason) => this.cancel(reason),
      },
      { highWaterMark: 0 },
    );
  }

  #accept({ done, value }: ReadableStreamReadResult<Bytes>): IteratorResult<Bytes, undefined> {
    if (!done) {
      this.#received += value.byteLength;
      return { done, value };
    }
    const { expected } = this.#guard;
    if (expected !== undefined && this.#received < expected) {
      this.#fail(new Error(`the response ended after ${this.#received} of ${expected} bytes`));
    }
    this.#end(false);
    return { done, value: undefined };
  }

  readonly #stop = (): void => this.#fail(this.#guard.signal.reason);

  #fail(cause: unknown): void {
    if (this.#ended.signal.aborted) return;
    this.#error = this.#guard.toError(cause);
    this.#end(true);
    this.#rejectRead(this.#error);
    this.#reader.cancel().catch(() => {});
  }

  #end(failed: boolean): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    this.#guard.signal.removeEventListener("abort", this.#stop);
    this.#guard.finish(failed);
  }
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

/** @throws {RemoteError} If there are more bytes than that. */
export async function readText(
  chunks: AsyncIterable<Uint8Array>,
  { maxBytes, url, status }: { maxBytes: number; url: string | URL; status?: number },
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let received = 0;
  for await (const chunk of chunks) {
    received += chunk.byteLength;
    if (received > maxBytes) {
      const shown = redactUrl(url);
      throw new RemoteError(`Cannot read ${shown}: the response is larger than ${maxBytes} bytes`, {
        url: shown,
        status,
        retryable: false,
      });
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Reads the start of a body for an error message. Never throws. */
export async function readStart(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let received = 0;
  try {
    for await (const chunk of chunks) {
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
export async function* chunksOf(body: ReadableStream<Bytes> | null): AsyncGenerator<Bytes> {
  if (body === null) return;
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
