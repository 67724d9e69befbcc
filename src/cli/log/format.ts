/**
 * The forms of a log line.
 *
 * @module
 */
import { formatDuration } from "../../core/duration.ts";
import { printable } from "../../core/printable.ts";
import type { LogLine, LogValue } from "./lines.ts";

/** Writes a line, without its newline. */
export type LogFormatter = (line: LogLine, now: Date) => string;

/**
 * `time=… level=INFO msg="Dewy started" version=…`, as Go's slog writes it.
 *
 * @param line the line.
 * @param now its time.
 * @returns the text. https://pkg.go.dev/log/slog#TextHandler
 */
export function formatText(line: LogLine, now: Date): string {
  const pairs: [string, LogValue][] = [
    ["time", now],
    ["level", line.level.toUpperCase()],
    ["msg", line.message],
    ...Object.entries(line.fields),
  ];
  return pairs
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${quote(key)}=${quote(plain(value))}`)
    .join(" ");
}

/**
 * One JSON object; durations are integers in nanoseconds.
 *
 * @param line the line.
 * @param now its time.
 * @returns the text. https://pkg.go.dev/log/slog#JSONHandler
 */
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

// JSON leaves these as they are; a terminal or a line-based reader would not.
function jsonEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

const MARKS = { debug: "  ", info: "  ", warn: "! ", error: "x " } as const;

/**
 * A short line for a person at a terminal: `12:00:01   Deployed tag=v1.1.0 …`.
 *
 * @param line the line.
 * @param now its time.
 * @returns the text.
 */
export function formatHuman(line: LogLine, now: Date): string {
  const fields = Object.entries(line.fields)
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([key, value]) => `${quote(key)}=${quote(plain(value))}`);
  const time = now.toTimeString().slice(0, 8);
  return [`${time} ${MARKS[line.level]}${printable(line.message)}`, ...fields].join("  ");
}

function isDuration(value: LogValue): value is { durationMs: number } {
  return typeof value === "object" && "durationMs" in value;
}

function plain(value: LogValue): string {
  if (value instanceof Date) return value.toISOString();
  if (isDuration(value)) return formatDuration(value.durationMs);
  return Array.isArray(value) ? `[${value.join(" ")}]` : String(value);
}

/** Whatever could end a field or a line, or be obeyed by a terminal, is quoted and escaped. */
function quote(text: string): string {
  const shown = printable(text);
  if (shown === text && text !== "" && !/[\s"=]/.test(text)) return text;
  return `"${printable(text.replaceAll(/["\\]/g, "\\$&"))}"`;
}
