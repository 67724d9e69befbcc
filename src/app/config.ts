/**
 * From a command line to what a command is told: everything typed, checked and with its default.
 *
 * @module
 */
import { parseBytes } from "../core/bytes.ts";
import { parseDuration } from "../core/duration.ts";
import { ConfigError } from "../core/error.ts";
import { type ListenSpec, parseListenSpecs } from "../core/listen_spec.ts";
import type { Platform } from "../core/types.ts";
import { redactUrl, splitUrl } from "../core/url.ts";
import { type CommandName, commands, flags } from "./flags.ts";
import type { ParsedArgv } from "./parse_argv.ts";
import { checkServerFlags } from "./server_flags.ts";
import { directoryOfProgram } from "./server_program.ts";

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

/** How a new generation of the app takes over from the old one. */
export type HandoffKind = "socket" | "proxy" | "none";

/** What `dewy server` is told. */
export interface ServerConfig extends Omit<AssetsConfig, "command"> {
  command: "server";
  /** Where {@link AssetsConfig.directory} comes from: `--directory`, a program `<dir>/current/…`, or neither. */
  directoryFrom: "flag" | "command" | "default";
  /** The app and its arguments, as typed; `undefined`: deploy only. */
  program: readonly [string, ...string[]] | undefined;
  /** Where to listen; empty: the app is a worker. */
  ports: readonly ListenSpec[];
  /** How a new generation takes over. The default is `socket`: a worker has none, and two of it run for a moment. */
  handoff: HandoffKind;
  /** The path to ask for the app's health; only behind the proxy. */
  healthPath: string | undefined;
  /** How long a generation may take to become ready, in milliseconds. The default is 30 seconds. */
  healthTimeoutMs: number;
  /** How long a generation must stay up to be ready, in milliseconds. The default is 1 second. */
  readyAfterMs: number;
  /** The shell command that exits 0 when the app is ready. */
  readyCommand: string | undefined;
  /** How long an old generation stays beside a new one that is ready, in milliseconds. The default is 5 seconds. */
  overlapMs: number;
  /** What asks a generation to end: `SIGTERM` unless told. */
  signalOnTerm: ServerSignal;
  /** How long an old generation may take to end, in milliseconds. The default is 30 seconds; 0: killed at once. */
  drainTimeMs: number;
  /** How long a new version is on probation, in milliseconds. The default is 30 seconds; 0: not at all. */
  bakeMs: number;
  /** Whether an app that ends with exit code 0 is started again. The default is `always`. */
  restart: "always" | "on-failure";
  /** Whether the app's lines begin with their generation. */
  logPrefix: boolean;
  /** Files of `KEY=VALUE` lines for the app; later files win. */
  envFiles: readonly string[];
  /** Keep dewy's own credentials from the app. */
  isolateEnv: boolean;
  /** The user of the app, by name or number. */
  user: string | undefined;
  /** The group of the app, by name or number. */
  group: string | undefined;
}

/** The signals that can ask an app to end. */
export const SERVER_SIGNALS = [
  "SIGTERM",
  "SIGINT",
  "SIGQUIT",
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
] as const;
/** A signal that can ask an app to end. */
export type ServerSignal = (typeof SERVER_SIGNALS)[number];

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
export type Config = AssetsConfig | ServerConfig | AskConfig | RegistryConfig;
/** What a command that deploys is told. */
export type DeployingConfig = AssetsConfig | ServerConfig;

/**
 * Tells the commands that deploy from those that only ask.
 *
 * @param config what a command is told.
 * @returns whether it deploys.
 */
export function isDeploying(config: Config): config is DeployingConfig {
  return config.command === "assets" || config.command === "server";
}

/**
 * Checks a command line and fills in the defaults of the flag table.
 *
 * @param command the command.
 * @param argv its command line.
 * @returns what the command is told.
 * @throws ConfigError that names the flag.
 */
export function readConfig(command: CommandName, argv: ParsedArgv): Config {
  return READERS[command](argv);
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

const READERS: Readonly<Record<CommandName, (argv: ParsedArgv) => Config>> = {
  server: readServer,
  assets: readAssets,
  check: (argv) => readAsk("check", argv),
  explain: (argv) => readAsk("explain", argv),
  registry: readGateway,
};

function readAssets(argv: ParsedArgv): AssetsConfig {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], "assets");
  rejectProgram(argv);
  return { command: "assets", ...readDeploying(argv), directory: textOr(argv, "directory") };
}

function readAsk(command: "check" | "explain", argv: ParsedArgv): AskConfig {
  rejectProgram(argv);
  return { command, ...readCommon(argv), platform: platform(argv), json: argv.flag("json") };
}

function readServer(argv: ParsedArgv): ServerConfig {
  const program = readProgram(argv);
  const ports = readPorts(argv);
  const config: ServerConfig = {
    command: "server",
    ...readDeploying(argv),
    ...readDirectory(argv, program),
    program,
    ports,
    handoff: choice(argv, "handoff", ["socket", "proxy", "none"]) ?? "socket",
    healthPath: text(argv, "health-path"),
    healthTimeoutMs: duration(argv, "health-timeout", 1),
    readyAfterMs: duration(argv, "ready-after", 0),
    readyCommand: text(argv, "ready-command"),
    overlapMs: duration(argv, "overlap", 0),
    signalOnTerm: readSignal(argv),
    drainTimeMs: duration(argv, "drain-time", 0),
    bakeMs: duration(argv, "bake", 0),
    restart: choice(argv, "restart", ["always", "on-failure"]) ?? "always",
    logPrefix: argv.flag("log-prefix"),
    envFiles: argv.texts("env-file").filter((path) => path !== ""),
    isolateEnv: argv.flag("isolate-env"),
    user: text(argv, "user"),
    group: text(argv, "group"),
  };
  checkServerFlags(config, {
    readyAfter: text(argv, "ready-after") !== undefined,
    overlap: text(argv, "overlap") !== undefined,
  });
  return config;
}

/** Words before `--` belong to it as well: `dewy server /opt/app`. */
function readProgram(argv: ParsedArgv): readonly [string, ...string[]] | undefined {
  const [program, ...args] = [...argv.words, ...argv.rest];
  if (program === "") throw new ConfigError('the command after "--" is empty');
  return program === undefined ? undefined : [program, ...args];
}

function readDirectory(
  argv: ParsedArgv,
  program: readonly string[] | undefined,
): Pick<ServerConfig, "directory" | "directoryFrom"> {
  const told = text(argv, "directory");
  if (told !== undefined) return { directory: told, directoryFrom: "flag" };
  const found = directoryOfProgram(program?.[0] ?? "");
  if (found !== undefined) return { directory: found, directoryFrom: "command" };
  return { directory: textOr(argv, "directory"), directoryFrom: "default" };
}

function readPorts(argv: ParsedArgv): readonly ListenSpec[] {
  try {
    return parseListenSpecs(argv.texts("port"));
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new ConfigError(`invalid port specification: ${cause.message}`, { cause });
  }
}

function readSignal(argv: ParsedArgv): ServerSignal {
  const value = textOr(argv, "signal-on-term");
  const name = `SIG${value.toUpperCase().replace(/^SIG/, "")}`;
  const signal = SERVER_SIGNALS.find((known) => known === name);
  if (signal === undefined) {
    const known = SERVER_SIGNALS.map((one) => one.slice(3)).join(", ");
    throw new ConfigError(`Cannot use --signal-on-term "${value}": expected ${known}`);
  }
  return signal;
}

function readDeploying(argv: ParsedArgv): Omit<AssetsConfig, "command" | "directory"> {
  return {
    ...readCommon(argv),
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

function rejectProgram(argv: ParsedArgv): void {
  if (argv.rest.length === 0) return;
  throw new ConfigError(
    `unexpected "${argv.rest.join(" ")}" after "--": dewy ${argv.command} starts no program`,
  );
}

function readCommon(argv: ParsedArgv): CommonConfig {
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
    const more = min < 1000 ? ", more than 0" : `, at least ${min / 1000}s`;
    throw new ConfigError(
      `Cannot use --${name} "${value}": expected a duration such as 10 (seconds), 30s or 5m${min === 0 ? "" : more}`,
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
