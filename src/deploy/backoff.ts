import { DewyError, RemoteError } from "../core/error.ts";

/** The longest pause that failures alone can cause. */
const MAX_PAUSE_MS = 5 * 60_000;
/** Machines that were started together must not poll together. */
const JITTER = 0.1;

/** Doubles with each consecutive failure, up to five minutes or the interval, whichever is longer. */
export function backoffMs(intervalMs: number, failures: number, random: () => number): number {
  const growth = failures === 0 ? 1 : 2 ** Math.min(failures - 1, 20);
  const pauseMs = Math.min(intervalMs * growth, Math.max(MAX_PAUSE_MS, intervalMs));
  return Math.round(pauseMs * (1 - JITTER + 2 * JITTER * random()));
}

/** The pause that a registry has asked for with `Retry-After` or a rate limit, plus jitter, or 0. */
export function requestedPauseMs(error: unknown, random: () => number): number {
  if (error instanceof RemoteError && error.retryAfterMs !== undefined) {
    return Math.round(error.retryAfterMs * (1 + JITTER * random()));
  }
  return error instanceof DewyError ? requestedPauseMs(error.cause, random) : 0;
}
