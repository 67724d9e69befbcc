import type { Clock } from "./clock.ts";
import { AbortedError, type DewyError, RemoteError } from "./error.ts";

/** Something took too long. Callers translate it into a RemoteError of code `timeout`. */
export class TimeoutError extends Error {
  readonly ms: number;

  constructor(what: string, ms: number) {
    super(`no ${what} within ${ms / 1000} s`);
    this.ms = ms;
  }
}

export interface Timeout {
  clock: Clock;
  ms: number;
  /** The missing thing in the message of the TimeoutError: `response`. */
  what: string;
  signal?: AbortSignal | undefined;
}

/** Waits for work that cannot be cancelled: at the timeout or abort it rejects at once and leaves the work running. */
export async function withTimeout<T>(work: Promise<T>, timeout: Timeout): Promise<T> {
  const { clock, ms, what, signal } = timeout;
  const finished = new AbortController();
  const detach = signal && abortWith(finished, signal);
  const overdue = clock.sleep(ms, finished.signal).then(() => {
    throw new TimeoutError(what, ms);
  });
  try {
    return await Promise.race([work, overdue]);
  } finally {
    detach?.();
    finished.abort();
  }
}

/** Times the steps of some work, one after another. */
export interface IdleWatch {
  begin(): void;
  end(): void;
}

/**
 * Calls `onIdle` when a step takes longer than `ms`, until `stop` aborts. All steps share one timer: a timer for each chunk
 * of a body takes longer than the chunk.
 */
export function watchIdle(
  clock: Clock,
  ms: number,
  stop: AbortSignal,
  onIdle: () => void,
): IdleWatch {
  let since: number | undefined;
  let isArmed = false;
  const arm = async (waitMs: number): Promise<void> => {
    isArmed = true;
    await clock.sleep(waitMs, stop);
    isArmed = false;
    if (since === undefined) return;
    const leftMs = ms - (clock.monotonic() - since);
    if (leftMs > 0) await arm(leftMs);
    else onIdle();
  };
  return {
    begin: () => {
      since = clock.monotonic();
      if (!isArmed) arm(ms).catch(() => {});
    },
    end: () => {
      since = undefined;
    },
  };
}

/**
 * Runs work with a timeout in milliseconds. The work receives a signal that aborts at the timeout or with `signal`; it
 * rejects by itself on the latter.
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ended = new AbortController();
  const detach = signal && abortWith(ended, signal);
  try {
    return await withTimeout(work(ended.signal), { clock, ms, what: "result" });
  } catch (error) {
    // Not after success: a stream that the work opened may continue.
    if (error instanceof TimeoutError) ended.abort(error);
    throw error;
  } finally {
    detach?.();
  }
}

/**
 * Aborts a controller with a longer-lived signal; returns a function that detaches them. Node keeps a reference at the
 * source of every `AbortSignal.any`, so a loop would leak.
 */
export function abortWith(controller: AbortController, signal: AbortSignal): () => void {
  const abort = (): void => controller.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}

/** Joins two optional signals into one that aborts with the first of them. */
export function joinSignals(
  a: AbortSignal | undefined,
  b: AbortSignal | undefined,
): AbortSignal | undefined {
  return a && b ? AbortSignal.any([a, b]) : (a ?? b);
}

/**
 * The error for work that the caller's `AbortSignal` cancelled. `AbortSignal.timeout` gives a {@link RemoteError} of code
 * `timeout`, any other signal an {@link AbortedError}.
 *
 * @see https://dom.spec.whatwg.org/#dom-abortsignal-timeout
 */
export function stoppedError(action: string, reason: unknown): DewyError {
  return isTimeout(reason)
    ? new RemoteError(`Cannot finish ${action}: the caller's timeout expired`, {
        code: "timeout",
        cause: reason,
      })
    : new AbortedError(`Stopped during ${action}`, { cause: reason });
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === "TimeoutError";
}
