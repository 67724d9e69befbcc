import { formatDuration } from "./duration.ts";

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
