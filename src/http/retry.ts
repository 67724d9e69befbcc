/** Milliseconds between attempts grow from here … */
const BASE_DELAY_MS = 250;
/** … to here. */
const MAX_DELAY_MS = 8_000;

/** A server that asks for a longer pause than this is obeyed by the poll loop, not by sleeping inside a call. */
export const MAX_RETRY_AFTER_MS = 30_000;

/**
 * The pause before the next attempt: exponential, with full jitter so that many clients spread out.
 *
 * @param attempt the attempt that failed, from 1 on.
 * @param random a number from 0 up to 1.
 * @returns milliseconds.
 */
export function backoffMs(attempt: number, random: () => number): number {
  return Math.round(random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** attempt));
}

/** The longest pause that a server can ask for: one absurd answer must not silence an agent for weeks. */
export const LONGEST_ASKED_PAUSE_MS = 3_600_000;

/** The pause that a server asks for, within {@link LONGEST_ASKED_PAUSE_MS}. */
export function boundedPauseMs(ms: number): number {
  return Math.min(Math.max(0, ms), LONGEST_ASKED_PAUSE_MS);
}

/**
 * Reads `Retry-After`: seconds or an HTTP date.
 * See https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3.
 *
 * @param headers the answer's headers.
 * @param now milliseconds since the Unix epoch.
 * @returns milliseconds from now, at most {@link LONGEST_ASKED_PAUSE_MS}; `undefined` without a header that asks for a
 * pause, such as a date that has passed: this machine's clock may be ahead.
 */
export function retryAfterMs(headers: Headers, now: number): number | undefined {
  const value = headers.get("retry-after")?.trim() ?? "";
  if (/^\d+(\.\d+)?$/.test(value)) return boundedPauseMs(Math.ceil(Number(value) * 1000));
  if (!/^[A-Za-z]{3,9},? /.test(value)) return undefined;
  const leftMs = Date.parse(value) - now;
  return leftMs > 0 ? boundedPauseMs(leftMs) : undefined;
}

/** Says for how long a server asked to be left alone, at the end of an error. */
export function describePause(ms: number): string {
  return ms >= LONGEST_ASKED_PAUSE_MS
    ? "asked to wait 1 h or more; dewy waits about 1 h"
    : `asked to wait ${Math.ceil(ms / 1000)} s`;
}
