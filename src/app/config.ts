/**
 * From a command line to what a command is told: everything typed, checked and with its default.
 *
 * @module
 */
import { parseBytes } from "../core/bytes.ts";
import { parseDuration } from "../core/duration.ts";
import { ConfigError } from "../core/error.ts";
import type { Platform } from "../core/types.ts";
import { redactUrl, splitUrl } from "../core/url.ts";
import { type CommandName, commands, flags } from "./flags.ts";
import type { ParsedArgv } from "./parse_argv.ts";

/** How important a line of the log is. */
export type LogLevel = "debug" | "info" | "warn" | "error";
/** How a line of the log is written. */
export type LogFormat = "text" | "json";

/** What all commands are told. */
export interface CommonConfig {
  /** The registry's URL, as typed. */
  registry: string;
  /** The slot; `undefined`: what the URL says, or any. */
  slot: string | undefined;
  /** The CalVer format; `undefined`: what the URL says, or SemVer. */
  calver: string | undefined;
  /** The least important lines to log; `undefined` when the operator did not say. */
  logLevel: LogLevel | undefined;
  /** The form of the log; `undefined` when the operator did not say. */
  logFormat: LogFormat | undefined;
  /** A PEM file of further certificate authorities. */
  caFile: string | undefined;
}

/** What `dewy assets` is told. */
export interface AssetsConfig extends CommonConfig {
  command: "assets";
  /** The directory that holds `releases/` and `current`; relative to the working directory. The default is `.`. */
  directory: string;
  /** Milliseconds between polls. The default is 10 seconds. */
  intervalMs: number;
  /** Deploy what is there and end. */
  once: boolean;
  /** The shell command before activation. */
  beforeDeployHook: string | undefined;
  /** The shell command after activation. */
  afterDeployHook: string | undefined;
  /** How long a hook may run, in milliseconds. The default is 10 minutes. */
  hookTimeoutMs: number;
  /** The notifier's URL. */
  notifier: string | undefined;
  /** The largest artifact, in bytes. The default is 2 GiB. */
  maxArtifactSize: number;
  /** The largest extracted artifact, in bytes. The default is 8 GiB. */
  maxExpandedSize: number;
  /** Forget which versions are bad. */
  retryBad: boolean;
}

/** What `dewy check` and `dewy explain` are told. */
export interface AskConfig extends CommonConfig {
  command: "check" | "explain";
  /** The machine to ask for; `undefined`: this one. */
  platform: Platform | undefined;
  /** Print JSON. */
  json: boolean;
}

/** What `dewy registry` is told. */
export interface RegistryConfig extends CommonConfig {
  command: "registry";
  /** The port; 0: any that is free. */
  port: number;
  /** The address to listen on; `undefined`: every address of this machine. */
  host: string | undefined;
  /** PEM files of the certificate and its key; `undefined`: plain text. */
  tls: { certFile: string; keyFile: string } | undefined;
  /** A file of the bearer token. */
  tokenFile: string | undefined;
  /** How machines reach the gateway, without a last slash; `undefined`: as each of them calls it. */
  publicUrl: string | undefined;
  /** A file of the key that signs addresses. */
  signingKeyFile: string | undefined;
  /** Answer with the upstream's own addresses. */
  direct: boolean;
  /** Milliseconds between polls. The default is 10 seconds. */
  intervalMs: number;
  /** How long an answer lasts while the upstream fails, in milliseconds. The default is an hour. */
  maxStaleMs: number;
}

/** What a command is told. */
export type Config = AssetsConfig | AskConfig | RegistryConfig;

/**
 * Checks a command line and fills in the defaults of the flag table.
 *
 * @param command the command.
 * @param argv its command line.
 * @returns what the command is told.
 * @throws ConfigError that names the flag.
 */
export function readConfig(command: CommandName, argv: ParsedArgv): Config {
  switch (command) {
    case "assets":
      return readAssets(argv);
    case "registry":
      return readGateway(argv);
    default:
      return readAsk(command, argv);
  }
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
    const example = commands.find(({ name }) => name === argv.command)?.example;
    throw new ConfigError(
      `--registry is not set${example === undefined ? "" : `; for example: ${example}`}`,
    );
  }
  splitUrl(url, "--registry");
  return url;
}

function readAssets(argv: ParsedArgv): AssetsConfig {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], "assets");
  return {
    command: "assets",
    ...readCommon(argv),
    directory: textOr(argv, "directory"),
    intervalMs: duration(argv, "interval", 1000),
    once: argv.flag("once"),
    beforeDeployHook: text(argv, "before-deploy-hook"),
    afterDeployHook: text(argv, "after-deploy-hook"),
    hookTimeoutMs: duration(argv, "hook-timeout", 1),
    notifier: text(argv, "notifier"),
    maxArtifactSize: bytes(argv, "max-artifact-size"),
    maxExpandedSize: bytes(argv, "max-expanded-size"),
    retryBad: argv.flag("retry-bad"),
  };
}

function readAsk(command: "check" | "explain", argv: ParsedArgv): AskConfig {
  return { command, ...readCommon(argv), platform: platform(argv), json: argv.flag("json") };
}

function readCommon(argv: ParsedArgv): CommonConfig {
  if (argv.rest.length > 0) {
    throw new ConfigError(
      `unexpected "${argv.rest.join(" ")}" after "--": dewy ${argv.command} starts no program`,
    );
  }
  return {
    registry: argv.command === "registry" ? readUpstream(argv) : readRegistry(argv),
    slot: text(argv, "slot"),
    calver: text(argv, "calver"),
    logLevel: choice(argv, "log-level", ["debug", "info", "warn", "error"]),
    logFormat: choice(argv, "log-format", ["text", "json"]),
    caFile: text(argv, "ca-file"),
  };
}

function readGateway(argv: ParsedArgv): RegistryConfig {
  return {
    command: "registry",
    ...readCommon(argv),
    port: port(argv),
    host: text(argv, "host"),
    tls: tlsFiles(argv),
    tokenFile: text(argv, "token-file"),
    publicUrl: publicUrl(argv),
    signingKeyFile: text(argv, "signing-key-file"),
    direct: argv.flag("direct"),
    intervalMs: duration(argv, "interval", 1000),
    maxStaleMs: duration(argv, "max-stale", 1),
  };
}

function readUpstream(argv: ParsedArgv): string {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], argv.command);
  const url = argv.text("upstream");
  if (url === "") {
    const example = commands.find(({ name }) => name === argv.command)?.example;
    throw new ConfigError(`--upstream is not set; for example: ${example}`);
  }
  splitUrl(url, "--upstream");
  return url;
}

function port(argv: ParsedArgv): number {
  const value = argv.text("port");
  if (value === "") throw new ConfigError("--port is not set; for example: --port 9000");
  if (!/^\d{1,5}$/.test(value) || Number(value) > 65_535) {
    throw new ConfigError(`Cannot use --port "${value}": expected a number from 0 to 65535`);
  }
  return Number(value);
}

function tlsFiles(argv: ParsedArgv): RegistryConfig["tls"] {
  const [certFile, keyFile] = [text(argv, "tls-cert"), text(argv, "tls-key")];
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  throw new ConfigError(
    `--tls-${certFile === undefined ? "key" : "cert"} needs --tls-${certFile === undefined ? "cert" : "key"}`,
  );
}

function publicUrl(argv: ParsedArgv): string | undefined {
  const value = text(argv, "public-url");
  if (value === undefined) return undefined;
  if (!/^https?:\/\/[^/?#@\s]+(\/[^?#\s]*)?$/i.test(value) || !URL.canParse(value)) {
    throw new ConfigError(
      `Cannot use --public-url "${redactUrl(value)}": expected an address such as https://registry.example.com`,
    );
  }
  return value.replace(/\/+$/, "");
}

function unexpected(word: string, command: string | undefined): ConfigError {
  return new ConfigError(`unexpected "${redactUrl(word)}": dewy ${command} takes no such word`);
}

/** An empty value is unset, so that `--slot "$SLOT"` works without one. */
function text(argv: ParsedArgv, name: string): string | undefined {
  return argv.text(name) || undefined;
}

function textOr(argv: ParsedArgv, name: string): string {
  return argv.text(name) || (flags.find((flag) => flag.name === name)?.default ?? "");
}

function choice<T extends string>(
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

function duration(argv: ParsedArgv, name: string, min: number): number {
  const value = textOr(argv, name);
  const ms = parseDuration(value);
  if (ms === undefined || ms < min) {
    const least = min < 1000 ? "more than 0" : `at least ${min / 1000}s`;
    throw new ConfigError(
      `Cannot use --${name} "${value}": expected a duration such as 10 (seconds), 30s or 5m, ${least}`,
    );
  }
  return ms;
}

function bytes(argv: ParsedArgv, name: string): number {
  const value = textOr(argv, name);
  const size = parseBytes(value);
  if (size === undefined || size <= 0) {
    throw new ConfigError(
      `Cannot use --${name} "${value}": expected a size such as 512MiB or 2GiB, more than 0`,
    );
  }
  return size;
}

function platform(argv: ParsedArgv): Platform | undefined {
  const value = text(argv, "platform");
  if (value === undefined) return undefined;
  const [os = "", arch = "", variant = "", ...more] = value.split("/");
  if (os === "" || arch === "" || more.length > 0) {
    throw new ConfigError(
      `Cannot use --platform "${value}": expected <os>/<arch>, such as linux/arm64`,
    );
  }
  return { os, arch, ...(variant === "" ? {} : { variant }) };
}
