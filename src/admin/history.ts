import { parseDuration } from "../core/duration.ts";
import type { JournalEntry } from "../journal/entry.ts";
import { readJournal } from "../journal/read.ts";
import { isDetail, JOURNAL_EVENTS } from "../journal/recorded_events.ts";

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
/** Enough for the latest entries of the page. */
const RECENT_BYTES = 128 * 1024;
const RECENT_ENTRIES = 100;

export interface HistoryQuery {
  limit: number;
  /** In milliseconds since the epoch. */
  since: number;
  /** If empty, all that `dewy history` shows. */
  events: readonly string[];
}

/** Reads the query of `/api/history`; returns a sentence if it is invalid. */
export function parseHistoryQuery(query: URLSearchParams, now: number): HistoryQuery | string {
  const unknown = [...query.keys()].find((name) => !["limit", "since", "event"].includes(name));
  if (unknown !== undefined) return "Unknown parameter; expected limit, since or event";
  const limit = query.get("limit") ?? String(DEFAULT_LIMIT);
  if (!/^[1-9]\d{0,3}$/.test(limit) || Number(limit) > MAX_LIMIT) {
    return `Invalid value for limit: expected a number from 1 to ${MAX_LIMIT}`;
  }
  const since = sinceOf(query.get("since") ?? "", now);
  if (since === undefined) {
    return "Invalid value for since: expected a duration such as 24h, or a time such as 2026-01-31T12:00:00Z";
  }
  const events = query.getAll("event").flatMap((names) => names.split(","));
  if (events.some((event) => !JOURNAL_EVENTS.includes(event))) {
    return `Invalid value for event: expected one of ${[...JOURNAL_EVENTS].sort().join(", ")}`;
  }
  return { limit: Number(limit), since, events };
}

function sinceOf(text: string, now: number): number | undefined {
  if (text === "") return Number.NEGATIVE_INFINITY;
  const duration = parseDuration(text);
  if (duration !== undefined) return now - duration;
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

/** The last entries that the query asks for, oldest first. */
export async function readHistory(
  root: string,
  { limit, since, events }: HistoryQuery,
  signal: AbortSignal,
): Promise<readonly JournalEntry[]> {
  const found: JournalEntry[] = [];
  for await (const entry of readJournal(root)) {
    signal.throwIfAborted();
    if (Date.parse(entry.at) < since || !isShown(entry, events)) continue;
    found.push(entry);
    if (found.length > limit) found.shift();
  }
  return found;
}

/** The entries that the page shows, oldest first. */
export async function readRecent(root: string): Promise<readonly JournalEntry[]> {
  const found: JournalEntry[] = [];
  for await (const entry of readJournal(root, RECENT_BYTES)) {
    if (isShown(entry, [])) found.push(entry);
  }
  return found.slice(-RECENT_ENTRIES);
}

function isShown({ event }: JournalEntry, events: readonly string[]): boolean {
  return events.length > 0 ? events.includes(event) : !isDetail(event);
}
