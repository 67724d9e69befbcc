import type { CommandContext } from "../../agent/context.ts";
import { chooseInstance } from "../../control/instances.ts";
import { ConfigError } from "../../core/error.ts";
import { nearest } from "../../core/nearest.ts";
import { SIGNAL_EXIT_CODES } from "../../host/process/io.ts";
import { type JournalEntry, jsonLine } from "../../journal/entry.ts";
import { followJournal } from "../../journal/follow.ts";
import { readJournal } from "../../journal/read.ts";
import { JOURNAL_EVENTS } from "../../journal/recorded_events.ts";
import type { HistoryConfig } from "../flags/local.ts";
import { terminalStyle } from "../terminal.ts";
import { historyHeader, historyRow } from "./history_table.ts";

/** Prints the entries of the journal, oldest first. */
export async function runHistory(config: HistoryConfig, context: CommandContext): Promise<number> {
  checkEvents(config.events);
  const { directory: root } = await chooseInstance(config, context.env, context.signals.stop);
  const output: Output = {
    config,
    isWanted: filter(config, context.clock.now()),
    print: printer(config, context),
  };
  return config.follow
    ? await follow(root, output, context)
    : await printLast(root, output, context);
}

interface Output {
  config: HistoryConfig;
  isWanted(entry: JournalEntry): boolean;
  print: Printer;
}

async function printLast(
  root: string,
  { config, isWanted, print }: Output,
  { signals }: CommandContext,
): Promise<number> {
  let found: JournalEntry[] = [];
  let isEmpty = true;
  for await (const entry of readJournal(root)) {
    signals.stop.throwIfAborted();
    isEmpty = false;
    if (isWanted(entry)) found.push(entry);
    // Now and then, so that a long journal is not kept in memory.
    if (config.limit > 0 && found.length >= 2 * config.limit) found = found.slice(-config.limit);
  }
  print.entries(last(found, config.limit));
  if (found.length === 0) {
    print.note(isEmpty ? "Nothing has been recorded yet." : "No entry fits these filters.");
  }
  return 0;
}

async function follow(
  root: string,
  { config, isWanted, print }: Output,
  { signals, stdout }: CommandContext,
): Promise<number> {
  let isFirst = true;
  for await (const batch of followJournal(root, signals.stop)) {
    const entries = batch.filter(isWanted);
    print.entries(isFirst ? last(entries, config.limit) : entries);
    isFirst = false;
    // `dewy history --follow | head` has read enough.
    if (stdout.isClosed) return 0;
  }
  const signal = signals.stoppedBy();
  return signal === undefined ? 0 : SIGNAL_EXIT_CODES[signal];
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
    return json || entry.event !== "polled";
  };
}

function concerns({ tag, previousTag, to, by, command = "" }: JournalEntry, wanted: string) {
  const words = [tag, previousTag, to, by, ...command.split(" ").slice(1)];
  return words.some((word) => word !== undefined && withoutV(word) === withoutV(wanted));
}

function withoutV(tag: string): string {
  return tag.replace(/^v(?=\d)/, "");
}

interface Printer {
  entries(entries: readonly JournalEntry[]): void;
  /** For people only. */
  note(text: string): void;
}

function printer({ json }: HistoryConfig, { stdout, env }: CommandContext): Printer {
  if (json) {
    return {
      entries: (entries) => stdout.write(entries.map((entry) => `${jsonLine(entry)}\n`).join("")),
      note: () => {},
    };
  }
  const style = terminalStyle(stdout, env);
  let hasHeader = false;
  return {
    entries: (entries) => {
      if (entries.length === 0) return;
      const header = hasHeader ? "" : historyHeader(style);
      hasHeader = true;
      stdout.write(header + entries.map((entry) => historyRow(entry, style)).join(""));
    },
    note: (text) => stdout.write(`${text}\n`),
  };
}
