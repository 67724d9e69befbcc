import { type FetchConfig, readFetching } from "../cli/flags/assets.ts";
import type { ParsedArgv } from "../cli/flags/parse.ts";
import { choiceOr, duration, healthPath, text, textOr } from "../cli/flags/values.ts";
import { formatDuration } from "../core/duration.ts";
import { ConfigError } from "../core/error.ts";
import { type ListenSpec, parseListenSpecs } from "../host/sockets/listen_spec.ts";
import { directoryOfProgram } from "./program.ts";

/** How a new generation of the app takes over from the old one. */
export type HandoffKind = "socket" | "proxy" | "none";

/** The parsed command line of `dewy server`. Durations are in milliseconds. */
export interface ServerConfig extends FetchConfig {
  command: "server";
  /** The source of {@link FetchConfig.directory}: `--directory`, a program `<dir>/current/…`, or neither. */
  directoryFrom: "flag" | "command" | "default";
  /** The app and its arguments, as typed; without it, dewy only deploys. */
  program: readonly [string, ...string[]] | undefined;
  /** Empty for a worker. */
  ports: readonly ListenSpec[];
  /** Defaults to `socket`, for a worker as well: two of them run for a moment. */
  handoff: HandoffKind;
  /** The path of the health check; only behind the proxy. */
  healthPath: string | undefined;
  /** How long a generation may take to become ready. Defaults to 30 seconds. */
  healthTimeoutMs: number;
  /** The uptime after which a generation counts as ready. Defaults to 1 second. */
  readyAfterMs: number;
  /** A shell command that exits with code 0 once the app is ready. */
  readyCommand: string | undefined;
  /** How long an old generation stays next to a new one that is ready. Defaults to 5 seconds. */
  overlapMs: number;
  /** The signal that asks a generation to exit. Defaults to `SIGTERM`. */
  signalOnTerm: ServerSignal;
  /** How long an old generation may take to drain. Defaults to 30 seconds; 0 kills it at once. */
  drainTimeMs: number;
  /** How long a new version bakes. Defaults to 30 seconds; 0 disables the bake. */
  bakeMs: number;
  /** Whether an app that exits with code 0 is restarted. Defaults to `always`. */
  restart: "always" | "on-failure";
  logPrefix: boolean;
  /** Files of `KEY=VALUE` lines for the app; later files override earlier ones. */
  envFiles: readonly string[];
  /** Whether dewy's own credentials are removed from the app's environment. */
  isolateEnv: boolean;
  user: string | undefined;
  group: string | undefined;
}

export const SERVER_SIGNALS = [
  "SIGTERM",
  "SIGINT",
  "SIGQUIT",
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
] as const;
export type ServerSignal = (typeof SERVER_SIGNALS)[number];

/** @throws ConfigError that names the flag. */
export function readServer(argv: ParsedArgv): ServerConfig {
  const program = readProgram(argv);
  const ports = readPorts(argv);
  const config: ServerConfig = {
    command: "server",
    ...readFetching(argv),
    ...readDirectory(argv, program),
    program,
    ports,
    handoff: choiceOr(argv, "handoff", ["socket", "proxy", "none"]),
    healthPath: healthPath(argv),
    healthTimeoutMs: duration(argv, "health-timeout", 1),
    readyAfterMs: duration(argv, "ready-after", 0),
    readyCommand: text(argv, "ready-command"),
    overlapMs: duration(argv, "overlap", 0),
    signalOnTerm: readSignal(argv),
    drainTimeMs: duration(argv, "drain-time", 0),
    bakeMs: duration(argv, "bake", 0),
    restart: choiceOr(argv, "restart", ["always", "on-failure"]),
    logPrefix: argv.flag("log-prefix"),
    envFiles: argv.texts("env-file").filter((path) => path !== ""),
    isolateEnv: argv.flag("isolate-env"),
    user: text(argv, "user"),
    group: text(argv, "group"),
  };
  checkFlags(config, argv);
  return config;
}

/** Rejects contradictory flags, so that no flag is silently ignored. */
function checkFlags(config: ServerConfig, argv: ParsedArgv): void {
  const { handoff, ports, healthTimeoutMs, readyAfterMs } = config;
  const isSet = (flag: "ready-after" | "overlap"): boolean => text(argv, flag) !== undefined;
  if (handoff === "proxy" && ports.length === 0) {
    throw new ConfigError("--handoff proxy needs --port: the proxy must know where to listen");
  }
  if (config.healthPath !== undefined && handoff !== "proxy") throw healthPathNeedsProxy(config);
  if (handoff === "proxy" && isSet("ready-after")) {
    throw new ConfigError(
      "--ready-after has no effect with --handoff proxy, which checks the app itself: use --health-path or --ready-command",
    );
  }
  if (handoff === "none" && isSet("overlap")) {
    throw new ConfigError(
      "--overlap has no effect with --handoff none, which stops the old generation before the new one starts",
    );
  }
  if (handoff !== "proxy" && readyAfterMs >= healthTimeoutMs) {
    throw new ConfigError(
      `--ready-after ${formatDuration(readyAfterMs)} can never be reached: --health-timeout ends the wait after ${formatDuration(healthTimeoutMs)}`,
    );
  }
}

function healthPathNeedsProxy({ handoff, ports }: ServerConfig): ConfigError {
  const why =
    handoff === "socket"
      ? "on a shared socket any generation may answer, so the answer does not show whether the new one is healthy"
      : "there is no proxy between the port and the app that could check it";
  const port = ports.length === 0 ? " and --port" : "";
  return new ConfigError(
    `--health-path needs --handoff proxy${port}: ${why}; without the proxy use --ready-command`,
  );
}

/** Words before `--` belong to the program as well: `dewy server /opt/app`. */
function readProgram(argv: ParsedArgv): readonly [string, ...string[]] | undefined {
  const [program, ...args] = [...argv.words, ...argv.rest];
  if (program === "") throw new ConfigError('the command after "--" is empty');
  return program === undefined ? undefined : [program, ...args];
}

function readDirectory(
  argv: ParsedArgv,
  program: readonly string[] | undefined,
): Pick<ServerConfig, "directory" | "directoryFrom"> {
  const flag = text(argv, "directory");
  if (flag !== undefined) return { directory: flag, directoryFrom: "flag" };
  const implied = directoryOfProgram(program?.[0] ?? "");
  if (implied !== undefined) return { directory: implied, directoryFrom: "command" };
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
    throw new ConfigError(`Invalid value for --signal-on-term "${value}": expected ${known}`);
  }
  return signal;
}
