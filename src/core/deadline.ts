import type { Clock } from "./clock.ts";

export class DeadlineError extends Error {
  readonly ms: number;

  constructor(ms: number) {
    super(`not finished within ${ms / 1_000} s`);
    this.ms = ms;
  }
}

/**
 * Runs work with a timeout in milliseconds; throws {@link DeadlineError} when it expires. The work receives a signal that
 * aborts at the deadline or with `signal`; work that ignores it is left running.
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ended = new AbortController();
  const end = (): void => ended.abort(signal?.reason);
  signal?.addEventListener("abort", end, { once: true });
  if (signal?.aborted) end();
  const finished = new AbortController();
  let isOver = false;
  const overdue = clock.sleep(ms, finished.signal).then(() => {
    isOver = true;
    ended.abort(new DOMException("The deadline passed.", "TimeoutError"));
    throw new DeadlineError(ms);
  });
  try {
    return await Promise.race([work(ended.signal), overdue]);
  } catch (error) {
    // The rejection of the aborted work can come first.
    throw isOver ? new DeadlineError(ms) : error;
  } finally {
    signal?.removeEventListener("abort", end);
    finished.abort();
    overdue.catch(() => {});
  }
}
