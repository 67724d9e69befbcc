import { ConfigError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import type { ParsedArgv } from "./parse.ts";
import { commands } from "./table.ts";
import { choice, text, unexpected } from "./values.ts";

/** How important a line of the log is. */
export type LogLevel = "debug" | "info" | "warn" | "error";
/** How a line of the log is written. */
export type LogFormat = "text" | "json";

/** How a command logs. */
export interface LogConfig {
  /** The least important lines to log; `undefined` when the operator did not say. */
  logLevel: LogLevel | undefined;
  /** The form of the log; `undefined` when the operator did not say. */
  logFormat: LogFormat | undefined;
}

/** What all commands that ask a registry are told. */
export interface CommonConfig extends LogConfig {
  /** The registry's URL, as typed. */
  registry: string;
  /** The slot; `undefined`: what the URL says, or any. */
  slot: string | undefined;
  /** The CalVer format; `undefined`: what the URL says, or SemVer. */
  calver: string | undefined;
  /** A PEM file of further certificate authorities. */
  caFile: string | undefined;
}

/**
 * Reads how a command logs.
 *
 * @param argv the command line.
 * @returns what was read.
 * @throws ConfigError that names the flag.
 */
export function readLog(argv: ParsedArgv): LogConfig {
  return {
    logLevel: choice(argv, "log-level", ["debug", "info", "warn", "error"]),
    logFormat: choice(argv, "log-format", ["text", "json"]),
  };
}

/**
 * Reads the flags that all commands have which ask a registry.
 *
 * @param argv the command line.
 * @param registry the registry's URL, from {@link readRegistry} or wherever the command has it.
 * @returns what was read.
 * @throws ConfigError that names the flag.
 */
export function readCommon(argv: ParsedArgv, registry: string): CommonConfig {
  return {
    ...readLog(argv),
    registry,
    slot: text(argv, "slot"),
    calver: text(argv, "calver"),
    caFile: text(argv, "ca-file"),
  };
}

/**
 * Finds the registry's URL: `--registry`, or where the command takes one, a word.
 *
 * @param argv the command line.
 * @returns the URL, as typed.
 * @throws ConfigError when it is missing or no URL.
 */
export function readRegistry(argv: ParsedArgv): string {
  const asks = argv.command === "check" || argv.command === "explain";
  const [word, ...more] = asks ? argv.words : [];
  const flag = argv.text("registry");
  if (word !== undefined && flag !== "") {
    throw new ConfigError(`unexpected "${redactUrl(word)}": --registry already names a registry`);
  }
  if (more[0] !== undefined) throw unexpected(more[0], argv.command);
  const url = word ?? flag;
  if (url === "") {
    const example = exampleOf(argv.command);
    throw new ConfigError(
      `--registry is not set${example === undefined ? "" : `; for example: ${example}`}`,
    );
  }
  return url;
}

/**
 * Looks up a command line to copy.
 *
 * @param command the command.
 * @returns such as `dewy check ghr://owner/repo`; `undefined` for a command that is not known.
 */
export function exampleOf(command: string | undefined): string | undefined {
  return commands.find(({ name }) => name === command)?.example;
}
