// https://pkg.go.dev/time#ParseDuration
const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5, micro sign
  μs: 1e-3, // U+03BC, Greek small letter mu
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const NUMBER = /^(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)$/;
const PART = /([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)/y;
const MAX_LENGTH = 64;

/** Parses a duration in Go's notation, or a bare number of seconds: `10`, `30s`, `5m`, `1h30m`, `1.5s`. In milliseconds. */
export function parseDuration(text: string): number | undefined {
  if (text === "" || text.length > MAX_LENGTH) return undefined;
  const total = NUMBER.test(text) ? Number(text) * 1000 : sumParts(text);
  return total !== undefined && total <= Number.MAX_SAFE_INTEGER ? total : undefined;
}

function sumParts(text: string): number | undefined {
  let total = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < text.length) {
    const part = PART.exec(text);
    if (part === null) return undefined;
    const [, amount = "", unit = ""] = part;
    total += Number(amount) * (UNIT_MS[unit] ?? 0);
  }
  return total;
}

/** Formats a duration in Go's notation: `1.5s`, `2m0s`, `100ms`. */
export function formatDuration(ms: number): string {
  const sign = ms < 0 ? "-" : "";
  const nanos = Math.round(Math.abs(ms) * 1e6);
  if (nanos === 0) return "0s";
  if (nanos < 1e3) return `${sign}${nanos}ns`;
  if (nanos < 1e6) return `${sign}${decimal(nanos / 1e3)}µs`;
  if (nanos < 1e9) return `${sign}${decimal(nanos / 1e6)}ms`;
  const minutes = Math.floor(nanos / 60e9);
  const seconds = `${decimal((nanos - minutes * 60e9) / 1e9)}s`;
  if (minutes === 0) return sign + seconds;
  const hours = Math.floor(minutes / 60);
  return `${sign}${hours === 0 ? "" : `${hours}h`}${minutes % 60}m${seconds}`;
}

function decimal(value: number): string {
  return String(Number(value.toFixed(9)));
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const JUST_NOW_MS = 2_000;

/** `3 min ago`; `just now` also for a time that a wrong clock has put in the future. */
export function ago(at: string, now: number): string {
  const ms = now - Date.parse(at);
  if (Number.isNaN(ms)) return "at an unknown time";
  return ms < JUST_NOW_MS ? "just now" : `${span(ms)} ago`;
}

/** `in 3 min`, or `now` once the time has come. */
export function ahead(at: string, now: number): string {
  const ms = Date.parse(at) - now;
  return ms <= 0 ? "now" : `in ${span(ms)}`;
}

/** A duration with one unit: `45 s`, `3 min`, `5 h`, `1 day`, `12 days`. */
export function span(ms: number): string {
  const seconds = Math.max(1, Math.floor(ms / 1000));
  if (seconds < MINUTE) return `${seconds} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) return `${Math.floor(seconds / HOUR)} h`;
  return `${Math.floor(seconds / DAY)} days`;
}

/** `34.5s`: as precise as a person needs it. */
export function roughDuration(ms: number): string {
  if (ms < 1000) return formatDuration(Math.round(ms));
  const precision = ms < 60_000 ? 100 : 1000;
  return formatDuration(Math.round(ms / precision) * precision);
}

/** `2026-05-01 12:00:00`, in the local time zone. */
export function localTime(iso: string): string {
  const date = new Date(iso);
  const numbers = [date.getMonth() + 1, date.getDate()].map(twoDigits);
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits);
  return `${date.getFullYear()}-${numbers.join("-")} ${time.join(":")}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
