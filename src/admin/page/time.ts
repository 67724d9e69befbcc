import { utcMinute } from "../../core/text.ts";
import { ago, ahead, span } from "../../core/times.ts";
import { type Html, html } from "./html.ts";

/** How a time is shown. The script of the page keeps the text current, in the reader's time zone. */
type Shown = "ago" | "ahead" | "for" | "at";

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

/** `2026-05-01 12:00 UTC`; in the reader's time zone if scripts run. */
export function timeAt(at: string): Html {
  return time(at, "at", utcMinute);
}
