import { ago, ahead, roughDuration, span } from "../../core/duration.ts";
import { utcMinute } from "../../core/text.ts";
import { type Html, html, type Part } from "./html.ts";

/** How a time is shown. The script of the page keeps the text current, in the reader's time zone. */
type Shown = "ago" | "ahead" | "for" | "at" | "clock";

function time(at: string, shown: Shown, text: (date: Date) => string): Html {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return html`<span>at an unknown time</span>`;
  const [iso, utc] = [date.toISOString(), utcMinute(date)];
  return html`<time datetime="${iso}" data-shown="${shown}" title="${utc}">${text(date)}</time>`;
}

/** `3 min ago`. */
export function timeAgo(at: string, now: number): Html {
  return time(at, "ago", () => ago(at, now));
}

/** `in 3 min`. */
export function timeAhead(at: string, now: number): Html {
  return time(at, "ahead", () => ahead(at, now));
}

/** `3 min`: how long something has lasted. */
export function timeFor(at: string, now: number): Html {
  return time(at, "for", (date) => span(now - date.getTime()));
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `12:00 UTC`, `30 Apr 12:00 UTC` on another day; in the reader's time zone if scripts run. */
export function timeAt(at: string, now: number): Html {
  return time(at, "at", (date) => {
    const minute = utcMinute(date);
    if (minute.slice(0, DAY) === utcMinute(new Date(now)).slice(0, DAY))
      return minute.slice(DAY + 1);
    return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${minute.slice(DAY + 1)}`;
  });
}

/** `12:00:00`. */
export function timeClock(at: string): Html {
  return time(at, "clock", (date) => date.toISOString().slice(DAY + 1, DAY + "T12:00:00".length));
}

const DAY = "2026-05-01".length;
const ISO_TIME = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/;

/** A sentence of dewy, in which times are shown as times. */
export function prose(text: string, now: number): readonly Part[] {
  return text.split(ISO_TIME).map((part, index) => (index % 2 === 1 ? timeAt(part, now) : part));
}

/** `1m14s`, `2m`: as precise as a person needs it. */
export function duration(ms: number): string {
  return roughDuration(ms)
    .replace(/(?<=[mh])0s$/, "")
    .replace(/(?<=h)0m$/, "");
}
