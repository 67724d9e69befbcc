// The deploy windows of --window. A window is open while the local time of its zone is in it.
import type { Zone } from "luxon";
import { ConfigError } from "../../core/error.ts";

export interface DeployWindows {
  /** When the next window opens, in milliseconds since the epoch; `undefined` if one is open. */
  opensAt(now: number): number | undefined;
  /** When the open window closes; `undefined` if none is open, or always one. */
  closesAt(now: number): number | undefined;
}

interface Window {
  /** From 0 for Sunday. */
  days: ReadonlySet<number>;
  /** Minutes after midnight; `end` is at most `start` if it is on the next day. */
  start: number;
  end: number;
  zone: Zone;
}

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;
const DAY_MS = DAY_MINUTES * MINUTE_MS;
/** A weekly window that daylight saving swallows once opens in the second week. */
const HORIZON_MS = 31 * DAY_MS;

/** Parses windows such as `mon-fri 09:00-17:00 Europe/Berlin`; without any, versions may always come. */
export async function compileWindows(texts: readonly string[]): Promise<DeployWindows | undefined> {
  if (texts.length === 0) return undefined;
  const { IANAZone, SystemZone } = await import("luxon");
  const zoneOf = (name: string): Zone | undefined => {
    if (name === "") return SystemZone.instance;
    const isName = /^[A-Za-z]/.test(name) && IANAZone.isValidZone(name);
    return isName ? IANAZone.create(name) : undefined;
  };
  const windows = texts.map((text) => parseWindow(text, zoneOf));
  const isOpen = (at: number): boolean => windows.some((window) => contains(window, at));
  const changeAfter = (now: number): number | undefined => {
    const before = isOpen(now);
    let at = now;
    while (at < now + HORIZON_MS) {
      at = Math.min(...windows.map((window) => boundaryAfter(window, at)));
      if (isOpen(at) !== before) return at;
    }
    return undefined;
  };
  return {
    opensAt: (now) => (isOpen(now) ? undefined : (changeAfter(now) ?? now + HORIZON_MS)),
    closesAt: (now) => (isOpen(now) ? changeAfter(now) : undefined),
  };
}

function parseWindow(text: string, zoneOf: (name: string) => Zone | undefined): Window {
  const words = text.trim().split(/\s+/);
  const hasDays = /^[a-z]/i.test(words[0] ?? "");
  const [days = "", times = "", zone = "", ...more] = hasDays ? words : ["", ...words];
  const invalid = (part: string, why: string): ConfigError =>
    new ConfigError(
      `Invalid value for --window "${text}": ${part === "" ? "" : `"${part}" is `}${why}; expected days, times and a time zone such as "mon-fri 09:00-17:00 Europe/Berlin"`,
    );
  const wantedDays = parseDays(days);
  if (wantedDays === undefined)
    throw invalid(days, "not a list of days such as mon-fri or sat,sun");
  const range = parseTimes(times);
  if (range === undefined) throw invalid(times, "not a range of times such as 09:00-17:00");
  const found = zoneOf(zone);
  if (found === undefined) throw invalid(zone, "not a time zone such as Europe/Berlin or UTC");
  if (more[0] !== undefined) throw invalid(more.join(" "), "one word too many");
  return { days: wantedDays, ...range, zone: found };
}

function parseDays(text: string): ReadonlySet<number> | undefined {
  if (text === "") return new Set(DAYS.keys());
  const days = new Set<number>();
  for (const part of text.toLowerCase().split(",")) {
    const [first = -1, last = first, ...more] = part.split("-").map((day) => DAYS.indexOf(day));
    if (first < 0 || last < 0 || more.length > 0) return undefined;
    for (let day = first; ; day = (day + 1) % DAYS.length) {
      days.add(day);
      if (day === last) break;
    }
  }
  return days;
}

function parseTimes(text: string): { start: number; end: number } | undefined {
  const [start, end, ...more] = text.split("-").map(parseTime);
  if (start === undefined || end === undefined || more.length > 0) return undefined;
  return start === end || start === DAY_MINUTES ? undefined : { start, end };
}

function parseTime(text: string): number | undefined {
  const [, hours, minutes] = /^(\d{1,2}):(\d\d)$/.exec(text) ?? [];
  const time = Number(hours) * 60 + Number(minutes);
  return Number(minutes) < 60 && time <= DAY_MINUTES ? time : undefined;
}

/** The local time as if it were UTC. */
function localTime(zone: Zone, at: number): number {
  return at + zone.offset(at) * MINUTE_MS;
}

function contains({ days, start, end, zone }: Window, at: number): boolean {
  const local = new Date(localTime(zone, at));
  const today = local.getUTCDay();
  const yesterday = (today + 6) % 7;
  const time = local.getUTCHours() * 60 + local.getUTCMinutes();
  if (start < end) return days.has(today) && time >= start && time < end;
  return (days.has(today) && time >= start) || (days.has(yesterday) && time < end);
}

/** The next moment at which the local time is midnight or a boundary of the window, or jumps. */
function boundaryAfter({ start, end, zone }: Window, at: number): number {
  const local = localTime(zone, at);
  const midnight = Math.floor(local / DAY_MS) * DAY_MS;
  const boundaries = [start, end, DAY_MINUTES].map((time) => midnight + time * MINUTE_MS);
  const next = at + Math.min(...boundaries.filter((time) => time > local)) - local;
  return zone.offset(next) === zone.offset(at) ? next : jumpIn(zone, at, next);
}

function jumpIn(zone: Zone, from: number, to: number): number {
  const before = zone.offset(from);
  let [low, high] = [from, to];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (zone.offset(middle) === before) low = middle;
    else high = middle;
  }
  return high;
}
