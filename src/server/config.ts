import { type FetchConfig, readFetching } from "../cli/flags/assets.ts";
import type { ParsedArgv } from "../cli/flags/parse.ts";
import { choice, duration, healthPath, text, textOr } from "../cli/flags/values.ts";
import { ConfigError } from "../core/error.ts";
import { type ListenSpec, parseListenSpecs } from "../host/sockets/listen_spec.ts";
import { checkServerFlags } from "./flags.ts";
import { directoryOfProgram } from "./program.ts";

/** How a new generation of the app takes over from the old one. */
export type HandoffKind = "socket" | "proxy" | "none";

/** What `dewy server` is told. */
export interface ServerConfig extends FetchConfig {
  command: "server";
  /** Where {@link FetchConfig.directory} comes from: `--directory`, a program `<dir>/current/…`, or neither. */
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

/**
 * Reads the command line of `dewy server`.
 *
 * @param argv the command line.
 * @returns what the command is told.
 * @throws ConfigError that names the flag.
 */
export function readServer(argv: ParsedArgv): ServerConfig {
  const program = readProgram(argv);
  const ports = readPorts(argv);
  const config: ServerConfig = {
    command: "server",
    ...readFetching(argv),
    ...readDirectory(argv, program),
    program,
    ports,
    handoff: choice(argv, "handoff", ["socket", "proxy", "none"]) ?? "socket",
    healthPath: healthPath(argv),
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
