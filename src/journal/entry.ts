/**
 * An entry of the journal: one line of JSON about something that has happened. Readers ignore names and fields that they
 * do not know.
 *
 * @module
 */
import * as v from "valibot";
import { shorten } from "../core/text.ts";

const text = v.optional(v.string());
const number = v.optional(v.number());

export const JournalEntry = v.looseObject({
  /** In ISO 8601. */
  at: v.string(),
  /** The type of the event: `deployed`, `rolled-back`, `failed`, `ordered`, … */
  event: v.string(),
  /** Distinguishes it from all others; absent in the entries of earlier versions. */
  id: text,
  tag: text,
  /** The version that was live before. */
  previousTag: text,
  /** The version that a rollback returned to. */
  to: text,
  /** The version that superseded this one. */
  by: text,
  reason: text,
  /** The operator's command, or the command of a hook. */
  command: text,
  /** The operator who asked for it. */
  user: text,
  message: text,
  durationMs: number,
  /** The duration of each phase in milliseconds, `bake` included. */
  phases: v.optional(v.record(v.string(), v.number())),
  /** The same for all entries about one attempt to deploy a version. */
  deploy: text,
  /** The id of its trace, if traces are sent to a collector. */
  traceId: text,
  /** The phase that failed. */
  phase: text,
  /** The code of the error, as documented. */
  code: text,
  retryInMs: number,
  /** The exit code of a hook or of the app. */
  exitCode: number,
  signal: text,
  /** Whether a hook ran `before` or `after` the deploy; its output, shortened; and whether the timeout killed it. */
  when: text,
  stdout: text,
  stderr: text,
  timedOut: v.optional(v.boolean()),
  /** The last lines of output, oldest first. */
  lastLines: v.optional(v.array(v.string())),
  /** When a wait ends by itself, in ISO 8601. */
  until: text,
  /** How many entries of this kind were left out before this one, because there were too many. */
  omitted: number,
});
export type JournalEntry = v.InferOutput<typeof JournalEntry>;

/** What an entry says; `undefined` leaves a field out. */
export type EntryFields = Partial<JournalEntry>;

/** Longer lines are shortened by the writer, and skipped by readers. */
export const MAX_ENTRY_BYTES = 16 * 1024;
const MAX_TEXT_LENGTH = 4096;

/** Returns the line of an entry with its newline. Long texts are shortened, so that the line stays bounded. */
export function entryLine(entry: JournalEntry): Buffer {
  for (let length = MAX_TEXT_LENGTH; length > 0; length = Math.floor(length / 2)) {
    const line = Buffer.from(`${jsonLine(shortened(entry, length))}\n`);
    if (line.length <= MAX_ENTRY_BYTES) return line;
  }
  const { at, event } = entry;
  return Buffer.from(`${jsonLine({ at, event: shorten(event, 100) })}\n`);
}

/** Returns `undefined` for a torn line, and for anything else that is not an entry. */
export function parseEntry(line: string): JournalEntry | undefined {
  try {
    const result = v.safeParse(JournalEntry, JSON.parse(line));
    return result.success && !Number.isNaN(Date.parse(result.output.at))
      ? result.output
      : undefined;
  } catch {
    return undefined;
  }
}

/** JSON on one line that is safe to show on a terminal. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Applies a function to every text of an entry, and returns a copy. */
export function mapTexts(
  entry: EntryFields & Pick<JournalEntry, "at" | "event">,
  change: (text: string) => string,
): JournalEntry {
  return mapValue(entry, change) as JournalEntry;
}

function mapValue(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((one) => mapValue(one, change));
  if (typeof value !== "object" || value === null) return value;
  const pairs = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(pairs.map(([key, one]) => [key, mapValue(one, change)]));
}

function shortened(entry: JournalEntry, length: number): JournalEntry {
  const { at, event } = entry;
  return { ...mapTexts(entry, (text) => shorten(text, length)), at, event };
}
