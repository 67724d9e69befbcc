import type { Clock } from "./clock.ts";

/** Work that took too long. */
export class DeadlineError extends Error {
  /** How long it was allowed to take, in milliseconds. */
  readonly ms: number;

  constructor(ms: number) {
    super(`not finished within ${ms / 1_000} s`);
    this.ms = ms;
  }
}

/**
 * Gives work a limited time.
 *
 * @param clock time.
 * @param ms how long the work may take, in milliseconds.
 * @param signal ends the work early.
 * @param work gets a signal that is aborted at the deadline or with `signal`; work that ignores it is left behind.
 * @returns what the work returns.
 * @throws {DeadlineError} At the deadline.
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
    // What the abort made of the work can come first.
    throw isOver ? new DeadlineError(ms) : error;
  } finally {
    signal?.removeEventListener("abort", end);
    finished.abort();
    overdue.catch(() => {});
  }
}
