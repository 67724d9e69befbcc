import type { EventSink } from "../../core/event.ts";
import type { LogLevel } from "../flags/common.ts";
import type { LogFormatter } from "./format.ts";
import { type LogLine, type LogValue, logLineOf } from "./lines.ts";

const RANKS: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Writes events from a level on, without the secrets that `redact` masks. */
export function createLogger({
  level,
  format,
  write,
  now,
  redact = String,
}: {
  level: LogLevel;
  format: LogFormatter;
  write(text: string): void;
  now(): number;
  redact?: (text: string) => string;
}): EventSink {
  return (event) => {
    const line = logLineOf(event);
    if (line === undefined || RANKS[line.level] < RANKS[level]) return;
    write(`${format(redacted(line, redact), new Date(now()))}\n`);
  };
}

function redacted(line: LogLine, redact: (text: string) => string): LogLine {
  const fields = Object.entries(line.fields).map(([key, value]): [string, LogValue] => [
    key,
    redactedValue(value, redact),
  ]);
  const { message, story } = line;
  return {
    ...line,
    message: redact(message),
    fields: Object.fromEntries(fields),
    story: story && { ...story, text: redact(story.text), output: story.output?.map(redact) },
  };
}

function redactedValue(value: LogValue, redact: (text: string) => string): LogValue {
  if (typeof value === "string") return redact(value);
  return isList(value) ? value.map(redact) : value;
}

function isList(value: LogValue): value is readonly string[] {
  return Array.isArray(value);
}
