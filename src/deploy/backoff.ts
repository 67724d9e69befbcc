/**
 * How long to wait after a failure.
 *
 * @module
 */
import { DewyError, RemoteError } from "../core/error.ts";

/** The longest pause that failures alone can cause. */
const MAX_PAUSE_MS = 5 * 60_000;
/** Fleets that were started together must not poll together. */
const JITTER = 0.1;

/**
 * A pause that doubles with every failure in a row, up to five minutes or the interval, whichever is longer.
 *
 * @param intervalMs the pause without failures, in milliseconds.
 * @param failures how many in a row.
 * @param random a number in [0, 1).
 * @returns the pause, in milliseconds.
 */
export function backoffMs(intervalMs: number, failures: number, random: () => number): number {
  const growth = failures === 0 ? 1 : 2 ** Math.min(failures - 1, 20);
  const pauseMs = Math.min(intervalMs * growth, Math.max(MAX_PAUSE_MS, intervalMs));
  return Math.round(pauseMs * (1 - JITTER + 2 * JITTER * random()));
}

/**
 * The pause that a registry asks for by `Retry-After` or a rate limit.
 *
 * @param error what it answered, or what that made fail.
 * @param random a number in [0, 1).
 * @returns milliseconds, 0 when it asks for none: never earlier than asked, and not all of a fleet in the same moment.
 */
export function askedPauseMs(error: unknown, random: () => number): number {
  if (error instanceof RemoteError && error.retryAfterMs !== undefined) {
    return Math.round(error.retryAfterMs * (1 + JITTER * random()));
  }
  return error instanceof DewyError ? askedPauseMs(error.cause, random) : 0;
}
