import type { EventSink } from "../../core/event.ts";
import type { LogLevel } from "../flags/common.ts";
import type { LogFormatter } from "./format.ts";
import { type LogLine, type LogValue, logLineOf } from "./lines.ts";

/** How a log is kept. */
export interface LoggerOptions {
  /** The least important lines to write. */
  level: LogLevel;
  /** The form of a line. */
  format: LogFormatter;
  /** Gets each line with its newline. */
  write(text: string): void;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Takes secrets out of a text from outside. The default leaves it as it is. */
  redact?: (text: string) => string;
}

const RANKS: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/**
 * Makes the subscriber that writes the log.
 *
 * @param options the level, the form and where to.
 * @returns the subscriber.
 */
export function createLogger(options: LoggerOptions): EventSink {
  const redact = options.redact ?? ((text) => text);
  return (event) => {
    const line = logLineOf(event);
    if (line === undefined || RANKS[line.level] < RANKS[options.level]) return;
    options.write(`${options.format(redacted(line, redact), new Date(options.now()))}\n`);
  };
}

function redacted(line: LogLine, redact: (text: string) => string): LogLine {
  const fields: Record<string, LogValue> = {};
  for (const [key, value] of Object.entries(line.fields)) {
    fields[key] = redactedValue(value, redact);
  }
  return { ...line, message: redact(line.message), fields };
}

function redactedValue(value: LogValue, redact: (text: string) => string): LogValue {
  if (typeof value === "string") return redact(value);
  return isList(value) ? value.map(redact) : value;
}

function isList(value: LogValue): value is readonly string[] {
  return Array.isArray(value);
}
