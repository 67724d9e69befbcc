import { abortWith } from "../core/abort_with.ts";
import type { Clock } from "../core/clock.ts";

/** Something did not arrive in time. Becomes a RemoteError of code `timeout`. */
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
  /** Names what did not arrive in the TimeoutError: `response`. */
  what: string;
  signal?: AbortSignal | undefined;
}

/**
 * Waits for work that may ignore its signal: at the timeout, or when the signal aborts, it rejects at once and leaves
 * the work behind.
 */
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
