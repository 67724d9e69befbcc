import type { CommandContext } from "../../agent/context.ts";
import { chooseInstance } from "../../control/instances.ts";
import { ConfigError } from "../../core/error.ts";
import { nearest } from "../../core/text.ts";
import { SIGNAL_EXIT_CODES } from "../../host/process/io.ts";
import { type JournalEntry, jsonLine } from "../../journal/entry.ts";
import { followJournal } from "../../journal/follow.ts";
import { readJournal } from "../../journal/read.ts";
import { isDetail, JOURNAL_EVENTS } from "../../journal/recorded_events.ts";
import type { HistoryConfig } from "../flags/local.ts";
import { terminalStyle } from "../terminal.ts";
import { historyHeader, historyRow } from "./history_table.ts";

/** Prints the entries of the journal, oldest first. */
export async function runHistory(config: HistoryConfig, context: CommandContext): Promise<number> {
  checkEvents(config.events);
  const { signals, stdout, env, clock } = context;
  const { directory: root } = await chooseInstance(config, env, signals.stop);
  const isWanted = filter(config, clock.now());
  const print = printer(config, context);
  let isFirst = true;
  for await (const batch of batches(root, config, signals.stop)) {
    const wanted = batch.filter(isWanted);
    print(isFirst ? last(wanted, config.limit) : wanted);
    isFirst = false;
    if (wanted.length === 0 && !config.follow && !config.json) stdout.write(nothing(batch));
    // `dewy history --follow | head` has read enough.
    if (stdout.isClosed) return 0;
  }
  const signal = signals.stoppedBy();
  return signal === undefined ? 0 : SIGNAL_EXIT_CODES[signal];
}

/** Yields all entries so far, then those that follow. */
async function* batches(
  root: string,
  { follow }: HistoryConfig,
  signal: AbortSignal,
): AsyncGenerator<readonly JournalEntry[]> {
  if (follow) return yield* followJournal(root, signal);
  const entries: JournalEntry[] = [];
  for await (const entry of readJournal(root)) {
    signal.throwIfAborted();
    entries.push(entry);
  }
  yield entries;
}

function nothing(entries: readonly JournalEntry[]): string {
  const isEmpty = entries.length === 0;
  return isEmpty ? "Nothing has been recorded yet.\n" : "No entry fits these filters.\n";
}

function last(entries: readonly JournalEntry[], limit: number): readonly JournalEntry[] {
  return limit === 0 ? entries : entries.slice(-limit);
}

function checkEvents(events: readonly string[]): void {
  for (const event of events) {
    if (JOURNAL_EVENTS.includes(event)) continue;
    const meant = nearest(event, JOURNAL_EVENTS);
    const guess = meant === undefined ? "" : ` (did you mean "${meant}"?)`;
    const known = [...JOURNAL_EVENTS].sort().join(", ");
    throw new ConfigError(
      `Invalid value for --event "${event}": unknown event${guess}; the events are: ${known}`,
    );
  }
}

function filter(
  { events, tag, sinceMs, json }: HistoryConfig,
  now: number,
): (entry: JournalEntry) => boolean {
  const since = sinceMs === undefined ? Number.NEGATIVE_INFINITY : now - sinceMs;
  return (entry) => {
    if (Date.parse(entry.at) < since) return false;
    if (tag !== undefined && !concerns(entry, tag)) return false;
    if (events.length > 0) return events.includes(entry.event);
    // Other entries say what has changed.
    return json || !isDetail(entry.event);
  };
}

function concerns({ tag, previousTag, to, by, command = "" }: JournalEntry, wanted: string) {
  const words = [tag, previousTag, to, by, ...command.split(" ").slice(1)];
  return words.some((word) => word !== undefined && withoutV(word) === withoutV(wanted));
}

function withoutV(tag: string): string {
  return tag.replace(/^v(?=\d)/, "");
}

function printer(
  { json }: HistoryConfig,
  { stdout, env }: CommandContext,
): (entries: readonly JournalEntry[]) => void {
  if (json) {
    return (entries) => stdout.write(entries.map((entry) => `${jsonLine(entry)}\n`).join(""));
  }
  const style = terminalStyle(stdout, env);
  let header = historyHeader(style);
  return (entries) => {
    if (entries.length === 0) return;
    stdout.write(header + entries.map((entry) => historyRow(entry, style)).join(""));
    header = "";
  };
}
