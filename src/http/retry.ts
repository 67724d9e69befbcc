const BASE_DELAY_MS = 250;
const MAX_DELAY_MS = 8_000;

/** A call sleeps at most this long for `Retry-After`; longer pauses are left to the poll loop. */
export const MAX_RETRY_AFTER_MS = 30_000;

/** Exponential backoff with full jitter, so that many clients spread out. */
export function backoffMs(attempt: number, random: () => number): number {
  return Math.round(random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** attempt));
}

/** The longest pause that a server can ask for: one absurd response must not stop an agent for weeks. */
export const LONGEST_ASKED_PAUSE_MS = 3_600_000;

export function boundedPauseMs(ms: number): number {
  return Math.min(Math.max(0, ms), LONGEST_ASKED_PAUSE_MS);
}

/**
 * Reads `Retry-After`, in seconds or as an HTTP date. A date in the past is ignored: this machine's clock may be ahead.
 * See https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3.
 */
export function retryAfterMs(headers: Headers, now: number): number | undefined {
  const value = headers.get("retry-after")?.trim() ?? "";
  if (/^\d+(\.\d+)?$/.test(value)) return boundedPauseMs(Math.ceil(Number(value) * 1000));
  if (!/^[A-Za-z]{3,9},? /.test(value)) return undefined;
  const leftMs = Date.parse(value) - now;
  return leftMs > 0 ? boundedPauseMs(leftMs) : undefined;
}

/** The requested pause, as the end of an error message. */
export function describePause(ms: number): string {
  return ms >= LONGEST_ASKED_PAUSE_MS
    ? "asked to wait 1 h or more; dewy waits about 1 h"
    : `asked to wait ${Math.ceil(ms / 1000)} s`;
}
