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

/**
 * Reads `Retry-After`: seconds or an HTTP date.
 * See https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3.
 *
 * @param headers the answer's headers.
 * @param now milliseconds since the Unix epoch.
 * @returns milliseconds from now, never negative; `undefined` without a readable header.
 */
export function retryAfterMs(headers: Headers, now: number): number | undefined {
  const value = headers.get("retry-after")?.trim() ?? "";
  if (/^\d{1,9}(\.\d+)?$/.test(value)) return Math.ceil(Number(value) * 1000);
  if (!/^[A-Za-z]{3,9},? /.test(value)) return undefined;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
