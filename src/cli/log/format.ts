import { formatDuration } from "../../core/duration.ts";
import { printable } from "../../core/text.ts";
import type { TerminalStyle } from "../terminal.ts";
import type { LogLine, LogValue } from "./lines.ts";

/** Returns the line without its newline. */
export type LogFormatter = (line: LogLine, now: Date) => string;

/** `time=… level=INFO msg="Dewy started" version=…`, like https://pkg.go.dev/log/slog#TextHandler. */
export function formatText(line: LogLine, now: Date): string {
  const pairs: [string, LogValue][] = [
    ["time", now],
    ["level", line.level.toUpperCase()],
    ["msg", line.message],
    ...Object.entries(line.fields),
  ];
  return fieldTexts(pairs).join(" ");
}

/** One JSON object, with durations in nanoseconds, like https://pkg.go.dev/log/slog#JSONHandler. */
export function formatJson(line: LogLine, now: Date): string {
  const record: Record<string, unknown> = {
    time: now.toISOString(),
    level: line.level.toUpperCase(),
    msg: line.message,
  };
  for (const [key, value] of Object.entries(line.fields)) {
    record[key] = isDuration(value) ? Math.round(value.durationMs * 1e6) : value;
  }
  return JSON.stringify(record).replaceAll(/[\u007f-\u009f\u2028\u2029]/g, jsonEscape);
}

// JSON does not escape these, but terminals and line-based readers interpret them.
function jsonEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Short lines for a person at a terminal: `12:00:01 ✓ v1.1.0 deployed (2.1 s)`. */
export function formatStory(style: TerminalStyle): LogFormatter {
  const colours = { debug: style.dim, info: String, warn: style.yellow, error: style.red };
  return (line, now) => {
    const { level, story } = line;
    const mark = story?.isSuccess ? style.green("✓") : colours[level](MARKS[level]);
    const time = style.dim(now.toTimeString().slice(0, 8));
    const text = printable(story?.text ?? [line.message, ...shownFields(line)].join("  "));
    const output = (story?.output ?? []).map((one) => style.dim(`${MARGIN}${printable(one)}`));
    return [`${time} ${mark} ${colours[level](text)}`, ...output].join("\n");
  };
}

const MARKS = { debug: " ", info: " ", warn: "!", error: "✗" } as const;
/** Puts the output of a program below the text of its line. */
const MARGIN = " ".repeat("12:00:01 ✓ ".length);

function shownFields({ fields }: LogLine): string[] {
  return fieldTexts(Object.entries(fields).filter(([, value]) => value !== ""));
}

function fieldTexts(fields: readonly [string, LogValue][]): string[] {
  return fields
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${quote(key)}=${quote(plain(value))}`);
}

function isDuration(value: LogValue): value is { durationMs: number } {
  return typeof value === "object" && "durationMs" in value;
}

function plain(value: LogValue): string {
  if (value instanceof Date) return value.toISOString();
  if (isDuration(value)) return formatDuration(value.durationMs);
  return Array.isArray(value) ? `[${value.join(" ")}]` : String(value);
}

/** Quotes and escapes what could end a field or a line, or control a terminal. */
function quote(text: string): string {
  const shown = printable(text);
  if (shown === text && text !== "" && !/[\s"=]/.test(text)) return text;
  return `"${printable(text.replaceAll(/["\\]/g, "\\$&"))}"`;
}
