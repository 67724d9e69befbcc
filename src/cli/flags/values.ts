/**
 * Reads the values of flags. An empty value counts as unset, so that `--slot "$SLOT"` works without one.
 *
 * @module
 */
import { parseBytes } from "../../core/bytes.ts";
import { parseDuration } from "../../core/duration.ts";
import { ConfigError } from "../../core/error.ts";
import { nearest } from "../../core/text.ts";
import { redactUrl } from "../../core/url.ts";
import type { ParsedArgv } from "./parse.ts";
import { flagsOf } from "./table.ts";

export function text(argv: ParsedArgv, name: string): string | undefined {
  return argv.text(name) || undefined;
}

/** Reads a text, or its default from the flag table. */
export function textOr(argv: ParsedArgv, name: string): string {
  return text(argv, name) ?? String(defaultOf(argv, name));
}

export function choice<T extends string>(
  argv: ParsedArgv,
  name: string,
  choices: readonly T[],
): T | undefined {
  const value = text(argv, name);
  if (value === undefined) return undefined;
  const chosen = choices.find((candidate) => candidate === value.toLowerCase());
  if (chosen !== undefined) return chosen;
  // A short word is close to every other: a suggestion would be a guess.
  const near = value.length > 3 ? nearest(value.toLowerCase(), choices) : undefined;
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  throw invalid(name, value, `${choices.join(", ")}${hint}`);
}

/** Reads one of a few words, or its default from the flag table. */
export function choiceOr<T extends string>(
  argv: ParsedArgv,
  name: string,
  choices: readonly T[],
): T {
  return choice(argv, name, choices) ?? (defaultOf(argv, name) as T);
}

/** Returns milliseconds, at least `min`. */
export function duration(argv: ParsedArgv, name: string, min: number): number {
  const value = text(argv, name);
  if (value === undefined) return numericDefault(argv, name);
  const ms = parseDuration(value);
  if (ms !== undefined && ms >= min) return ms;
  const limit = min === 0 ? "" : min < 1000 ? ", more than 0" : `, at least ${min / 1000}s`;
  throw invalid(name, value, `a duration such as 10 (seconds), 30s or 5m${limit}`);
}

/** Returns milliseconds; also of days, such as `7d`. `undefined` without a value. */
export function longDuration(argv: ParsedArgv, name: string): number | undefined {
  const value = text(argv, name);
  if (value === undefined) return undefined;
  const days = /^(\d{1,4})d$/.exec(value)?.[1];
  const ms = days === undefined ? parseDuration(value) : Number(days) * 86_400_000;
  if (ms !== undefined && ms > 0) return ms;
  throw invalid(name, value, "a duration such as 30m, 24h or 7d");
}

export function count(argv: ParsedArgv, name: string, min: number): number {
  const value = text(argv, name);
  if (value === undefined) return numericDefault(argv, name);
  if (/^\d{1,9}$/.test(value) && Number(value) >= min) return Number(value);
  throw invalid(name, value, `a number, at least ${min}`);
}

/** @param min 0 where the system may pick a free port, else 1. */
export function port(argv: ParsedArgv, name: string, min: 0 | 1): number | undefined {
  const value = text(argv, name);
  if (value === undefined) return undefined;
  const number = Number(value);
  if (/^\d{1,5}$/.test(value) && number >= min && number <= 65_535) return number;
  throw invalid(name, value, `a number from ${min} to 65535`);
}

export function healthPath(argv: ParsedArgv): string | undefined {
  const value = text(argv, "health-path");
  if (value === undefined || /^\/[!-~]*$/.test(value)) return value;
  throw invalid("health-path", value, "a path such as /health");
}

export function bytes(argv: ParsedArgv, name: string): number {
  const value = text(argv, name);
  if (value === undefined) return numericDefault(argv, name);
  const size = parseBytes(value);
  if (size !== undefined && size > 0) return size;
  throw invalid(name, value, "a size such as 512MiB or 2GiB, more than 0");
}

export function rejectProgram(argv: ParsedArgv): void {
  if (argv.rest.length === 0) return;
  throw new ConfigError(
    `unexpected "${argv.rest.join(" ")}" after "--": dewy ${argv.command} does not start a program`,
  );
}

export function unexpected(word: string, command: string | undefined): ConfigError {
  return new ConfigError(`unexpected argument "${redactUrl(word)}" for "dewy ${command}"`);
}

function invalid(name: string, value: string, expected: string): ConfigError {
  return new ConfigError(`Invalid value for --${name} "${value}": expected ${expected}`);
}

/** Reads a number's default from the flag table. */
export function numericDefault(argv: ParsedArgv, name: string): number {
  return Number(defaultOf(argv, name));
}

function defaultOf(argv: ParsedArgv, name: string): string | number {
  const found = flagsOf(argv.command).find((flag) => flag.name === name)?.default;
  if (found === undefined) throw new TypeError(`--${name} has no default`);
  return found;
}
