import { localTime, roughDuration } from "../../core/duration.ts";
import { printable } from "../../core/text.ts";
import type { JournalEntry } from "../../journal/entry.ts";
import { entryText } from "../../journal/entry_text.ts";
import { type TerminalStyle, wrap } from "../terminal.ts";

const MAX_LINES = 5;
/** Fixed, because entries that follow are printed one by one. */
const WIDTHS = [19, 11, 10, 6] as const;
const GAP = "  ";
const EVENT_END = WIDTHS[0] + 2 + WIDTHS[1];
const MARGIN = " ".repeat(WIDTHS[0] + 2);

type Colour = "green" | "red" | "yellow" | "dim";

const COLOURS: Readonly<Record<string, Colour>> = {
  deployed: "green",
  "succeeded-again": "green",
  failed: "red",
  "rolled-back": "red",
  "crash-loop": "red",
  "app-exited": "red",
  "start-failed": "red",
  "replica-lost": "red",
  resumed: "red",
  "known-bad": "red",
  "bytes-changed": "red",
  uncaught: "red",
  waiting: "yellow",
  held: "yellow",
  recovered: "yellow",
  warning: "yellow",
  gap: "yellow",
  pruned: "dim",
  polled: "dim",
};

export function historyHeader(style: TerminalStyle): string {
  return `${style.bold(columns(["TIME", "EVENT", "VERSION", "TOOK"]))}  ${style.bold("DETAILS")}\n`;
}

/** The line of an entry. On a terminal, details that do not fit continue below it. */
export function historyRow(entry: JournalEntry, style: TerminalStyle): string {
  const [first = "", ...rest] = rowLines(entry, style);
  const output = (entry.lastLines ?? []).slice(-MAX_LINES);
  return [
    coloured(first, entry.event, style),
    ...rest,
    ...output.map((line) => style.dim(`${MARGIN}| ${printable(line)}`)),
  ]
    .map((line) => `${line}\n`)
    .join("");
}

function rowLines(entry: JournalEntry, style: TerminalStyle): readonly string[] {
  const { at, event, tag = "", durationMs } = entry;
  const took = durationMs === undefined ? "" : roughDuration(durationMs);
  const start = columns([localTime(at), event, tag, took].map((cell) => printable(cell)));
  const details = printable(entryText(entry));
  const line = `${start}  ${details}`.trimEnd();
  if (!style.isTerminal || line.length <= style.columns) return [line];
  const withoutGap = `${start.trimEnd().padEnd(EVENT_END)}  ${details}`;
  if (withoutGap.length <= style.columns) return [withoutGap];
  const below = wrap(details, style.columns - MARGIN.length);
  return [start.trimEnd(), ...below.map((text) => `${MARGIN}${text}`)];
}

/** A cell that is too long takes the room of the next one, so that the others stay in their columns. */
function columns(cells: readonly string[]): string {
  let end = -GAP.length;
  return cells.reduce((line, cell, column) => {
    const start = line === "" ? "" : `${line}${GAP}`;
    end += GAP.length + (WIDTHS[column] ?? 0);
    return `${start}${cell}`.padEnd(end);
  }, "");
}

function coloured(line: string, event: string, style: TerminalStyle): string {
  const colour = COLOURS[event];
  if (colour === undefined) return line;
  const end = MARGIN.length + event.length;
  const name = line.slice(MARGIN.length, end);
  return `${line.slice(0, MARGIN.length)}${style[colour](name)}${line.slice(end)}`;
}
