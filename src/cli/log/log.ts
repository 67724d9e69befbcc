import type { EventSink } from "../../core/event.ts";
import type { LogLevel } from "../flags/common.ts";
import type { LogFormatter } from "./format.ts";
import { type LogLine, type LogValue, logLineOf } from "./lines.ts";
import type { Story } from "./story.ts";

export interface LoggerOptions {
  /** The least important level to write. */
  level: LogLevel;
  format: LogFormatter;
  write(text: string): void;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Removes secrets from text that comes from outside. */
  redact?: (text: string) => string;
}

const RANKS: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

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
  const { message, story } = line;
  return {
    ...line,
    message: redact(message),
    fields,
    story: story && redactedStory(story, redact),
  };
}

function redactedStory(story: Story, redact: (text: string) => string): Story {
  return { ...story, text: redact(story.text), output: story.output?.map(redact) };
}

function redactedValue(value: LogValue, redact: (text: string) => string): LogValue {
  if (typeof value === "string") return redact(value);
  return isList(value) ? value.map(redact) : value;
}

function isList(value: LogValue): value is readonly string[] {
  return Array.isArray(value);
}
