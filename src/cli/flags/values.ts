/**
 * How the values of flags are read: each says which flag was wrong, and what would be right.
 *
 * @module
 */
import { parseBytes } from "../../core/bytes.ts";
import { parseDuration } from "../../core/duration.ts";
import { ConfigError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import type { ParsedArgv } from "./parse.ts";
import { flagsOf } from "./table.ts";

/**
 * Reads a text. An empty value is unset, so that `--slot "$SLOT"` works without one.
 *
 * @param argv the command line.
 * @param name the flag.
 * @returns the value; `undefined` when there is none.
 */
export function text(argv: ParsedArgv, name: string): string | undefined {
  return argv.text(name) || undefined;
}

/**
 * Reads a text with a default.
 *
 * @param argv the command line.
 * @param name the flag.
 * @returns the value, or what the flag table has in its place.
 */
export function textOr(argv: ParsedArgv, name: string): string {
  const own = flagsOf(argv.command).find((flag) => flag.name === name);
  return argv.text(name) || (own?.default ?? "");
}

/**
 * Reads one of a few words; capitals do not matter.
 *
 * @param argv the command line.
 * @param name the flag.
 * @param choices the words.
 * @returns the word; `undefined` when there is none.
 * @throws ConfigError for another word.
 */
export function choice<T extends string>(
  argv: ParsedArgv,
  name: string,
  choices: readonly T[],
): T | undefined {
  const value = text(argv, name);
  if (value === undefined) return undefined;
  const chosen = choices.find((candidate) => candidate === value.toLowerCase());
  if (chosen === undefined) {
    throw new ConfigError(`Cannot use --${name} "${value}": expected ${choices.join(", ")}`);
  }
  return chosen;
}

/**
 * Reads a duration.
 *
 * @param argv the command line.
 * @param name the flag.
 * @param min the least that is accepted, in milliseconds.
 * @returns milliseconds.
 * @throws ConfigError for what is none, or shorter.
 */
export function duration(argv: ParsedArgv, name: string, min: number): number {
  const value = textOr(argv, name);
  const ms = parseDuration(value);
  if (ms === undefined || ms < min) {
    const more = min < 1000 ? ", more than 0" : `, at least ${min / 1000}s`;
    throw new ConfigError(
      `Cannot use --${name} "${value}": expected a duration such as 10 (seconds), 30s or 5m${min === 0 ? "" : more}`,
    );
  }
  return ms;
}

/**
 * Reads a whole number.
 *
 * @param argv the command line.
 * @param name the flag.
 * @param min the least that is accepted.
 * @returns the number.
 * @throws ConfigError for what is none, or less.
 */
export function count(argv: ParsedArgv, name: string, min: number): number {
  const value = textOr(argv, name);
  if (!/^\d{1,9}$/.test(value) || Number(value) < min) {
    throw new ConfigError(`Cannot use --${name} "${value}": expected a number, at least ${min}`);
  }
  return Number(value);
}

/**
 * Reads a port.
 *
 * @param argv the command line.
 * @param name the flag.
 * @param min the lowest that is accepted: 0 where any that is free will do, else 1.
 * @returns the port; `undefined` when there is none.
 * @throws ConfigError for what is no port.
 */
export function port(argv: ParsedArgv, name: string, min: 0 | 1): number | undefined {
  const value = text(argv, name);
  if (value === undefined) return undefined;
  if (!/^\d{1,5}$/.test(value) || Number(value) < min || Number(value) > 65_535) {
    throw new ConfigError(
      `Cannot use --${name} "${value}": expected a number from ${min} to 65535`,
    );
  }
  return Number(value);
}

/**
 * Reads the path that is asked for an app's health.
 *
 * @param argv the command line.
 * @returns the path; `undefined` when there is none.
 * @throws ConfigError for what is no path.
 */
export function healthPath(argv: ParsedArgv): string | undefined {
  const value = text(argv, "health-path");
  if (value !== undefined && !/^\/[!-~]*$/.test(value)) {
    throw new ConfigError(`Cannot use --health-path "${value}": expected a path such as /health`);
  }
  return value;
}

/**
 * Reads a size.
 *
 * @param argv the command line.
 * @param name the flag.
 * @returns bytes, more than 0.
 * @throws ConfigError for what is no size.
 */
export function bytes(argv: ParsedArgv, name: string): number {
  const value = textOr(argv, name);
  const size = parseBytes(value);
  if (size === undefined || size <= 0) {
    throw new ConfigError(
      `Cannot use --${name} "${value}": expected a size such as 512MiB or 2GiB, more than 0`,
    );
  }
  return size;
}

/**
 * Refuses what stands after `--`, for commands that start nothing.
 *
 * @param argv the command line.
 * @throws ConfigError when there is something.
 */
export function rejectProgram(argv: ParsedArgv): void {
  if (argv.rest.length === 0) return;
  throw new ConfigError(
    `unexpected "${argv.rest.join(" ")}" after "--": dewy ${argv.command} starts no program`,
  );
}

/**
 * The error for a word that has no place.
 *
 * @param word the word.
 * @param command the command.
 * @returns the error to throw.
 */
export function unexpected(word: string, command: string | undefined): ConfigError {
  return new ConfigError(`unexpected "${redactUrl(word)}": dewy ${command} takes no such word`);
}
