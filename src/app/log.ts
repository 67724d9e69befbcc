import type { DewyEvent, EventSink } from "../core/event.ts";
import type { LogLevel } from "./config.ts";
import type { LogFormatter } from "./log_format.ts";
import { type LogLine, type LogValue, logLineOf } from "./log_lines.ts";

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

/** Events that come with every poll while a state lasts; the first one says it all. */
const LASTING: ReadonlySet<DewyEvent["type"]> = new Set([
  "nothing",
  "held",
  "known-bad",
  "bytes-changed",
  "poll-spaced",
]);

/**
 * Makes the subscriber that writes the log.
 *
 * A state that lasts over many polls is logged once at its own level, and at `debug` from then on.
 *
 * @param options the level, the form and where to.
 * @returns the subscriber.
 */
export function createLogger(options: LoggerOptions): EventSink {
  const redact = options.redact ?? ((text) => text);
  const lastOf = new Map<DewyEvent["type"], string>();
  const isRepeated = (event: DewyEvent): boolean => {
    if (!LASTING.has(event.type)) return false;
    const key = stateOf(event);
    const repeated = lastOf.get(event.type) === key;
    lastOf.set(event.type, key);
    return repeated;
  };
  return (event) => {
    const line = logLineOf(event);
    if (line === undefined) return;
    if (event.type === "deployed") lastOf.clear();
    const level = isRepeated(event) ? "debug" : line.level;
    if (RANKS[level] < RANKS[options.level]) return;
    const written = redacted({ ...line, level }, redact);
    options.write(`${options.format(written, new Date(options.now()))}\n`);
  };
}

/** What makes two events of a lasting state the same: all but the time. */
function stateOf(event: DewyEvent): string {
  return JSON.stringify({ ...event, nextAt: undefined });
}

function redacted(line: LogLine, redact: (text: string) => string): LogLine {
  const fields: Record<string, LogValue> = {};
  for (const [key, value] of Object.entries(line.fields)) {
    fields[key] = typeof value === "string" ? redact(value) : value;
  }
  return { ...line, message: redact(line.message), fields };
}
