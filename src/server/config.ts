import { readFetching } from "../cli/flags/assets.ts";
import type { ParsedArgv } from "../cli/flags/parse.ts";
import { choiceOr, duration, healthPath, text, textOr } from "../cli/flags/values.ts";
import { formatDuration } from "../core/duration.ts";
import { ConfigError } from "../core/error.ts";
import { type ListenSpec, parseListenSpecs } from "../host/sockets/listen_spec.ts";
import { directoryOfProgram } from "./program.ts";

export type ServerConfig = ReturnType<typeof readServer>;

export function readServer(argv: ParsedArgv) {
  const program = readProgram(argv);
  const ports = readPorts(argv);
  const config = {
    command: "server" as const,
    ...readFetching(argv),
    ...readDirectory(argv, program),
    program,
    /** Empty for a worker. */
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
    /** Later files override earlier ones. */
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

function readDirectory(argv: ParsedArgv, program: readonly string[] | undefined) {
  const flag = text(argv, "directory");
  if (flag !== undefined) return { directory: flag, directoryFrom: "flag" as const };
  const implied = directoryOfProgram(program?.[0] ?? "");
  if (implied !== undefined) return { directory: implied, directoryFrom: "command" as const };
  return { directory: textOr(argv, "directory"), directoryFrom: "default" as const };
}

function readPorts(argv: ParsedArgv): readonly ListenSpec[] {
  try {
    return parseListenSpecs(argv.texts("port"));
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new ConfigError(`invalid port specification: ${cause.message}`, { cause });
  }
}

const SIGNALS = ["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH"];

function readSignal(argv: ParsedArgv): string {
  const value = textOr(argv, "signal-on-term");
  const name = value.toUpperCase().replace(/^SIG/, "");
  if (SIGNALS.includes(name)) return `SIG${name}`;
  const known = SIGNALS.join(", ");
  throw new ConfigError(`Invalid value for --signal-on-term "${value}": expected ${known}`);
}
