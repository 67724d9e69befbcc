import { readLog } from "../cli/flags/common.ts";
import { readDeploying } from "../cli/flags/deploy.ts";
import type { ParsedArgv } from "../cli/flags/parse.ts";
import {
  choice,
  choiceOr,
  count,
  duration,
  healthPath,
  numericDefault,
  port,
  rejectProgram,
  text,
  unexpected,
} from "../cli/flags/values.ts";
import { ConfigError } from "../core/error.ts";
import { nearest } from "../core/text.ts";
import { checkContainerArgs } from "./options/args.ts";
import { appNameOf, checkAppName } from "./options/names.ts";
import { listenSpecs, type PortMapping, parsePortMappings } from "./options/ports.ts";

/** The engines' default. */
const STOP_TIMEOUT_MS = 10_000;

export type ContainerConfig = ReturnType<typeof readContainer>;
export type ContainerListConfig = ReturnType<typeof readContainerList>;

/** Reads the command line of `dewy container`. A duration of 0 disables what it limits. */
export function readContainer(argv: ParsedArgv) {
  if (argv.words[0] !== undefined) throw unexpectedWord(argv.words[0]);
  const deploying = readDeploying(argv);
  const checked = checkContainerArgs(argv.rest, nonEmpty(argv, "allow-option"));
  const { args, name, user, env: containerEnv, stopTimeoutMs = STOP_TIMEOUT_MS } = checked;
  const hosts = readHosts(argv);
  const config = {
    ...deploying,
    command: "container" as const,
    /** Part of the names of the app's containers and images. */
    app: readApp(argv, name, deploying.registry),
    /** Defaults to that of `containerDirectory`. */
    directory: text(argv, "directory"),
    /** If empty, the proxy listens on the only port that the image exposes. */
    mappings: readMappings(argv, hosts),
    /** If empty, the proxy listens on every address. */
    hosts,
    replicas: count(argv, "replicas", 1),
    surge: count(argv, "surge", 0),
    healthPath: healthPath(argv),
    healthTimeoutMs: duration(argv, "health-timeout", 1),
    drainTimeMs: duration(argv, "drain-time", 0),
    bakeMs: duration(argv, "bake", 0),
    proxyIdleTimeoutMs: duration(argv, "proxy-idle-timeout", 0),
    balance: choiceOr(argv, "balance", ["least-connections", "round-robin"]),
    proxyProtocol: choice(argv, "proxy-protocol", ["v1", "v2"]),
    engine: choiceOr(argv, "runtime", ["docker", "podman"]),
    /** If empty, the image's own command runs. */
    cmd: nonEmpty(argv, "cmd"),
    /** The options after `--`, without `--name`. */
    args,
    /** The `--user` in `args`. */
    user,
    /** The `--env` in `args`. */
    containerEnv,
    stopTimeoutMs,
    keepContainers: argv.flag("keep-containers"),
  };
  if (config.surge === 0 && config.replicas === 1) {
    throw new ConfigError(
      "--surge 0 needs --replicas 2 or more: an update would stop the only container before the new one starts",
    );
  }
  return config;
}

export function readContainerList(argv: ParsedArgv) {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], argv.command);
  rejectProgram(argv);
  return {
    command: "container list" as const,
    ...readLog(argv),
    /** The first of the ten ports to ask. */
    adminPort: port(argv, "admin-port", 1) ?? numericDefault(argv, "admin-port"),
    engine: choiceOr(argv, "runtime", ["docker", "podman"]),
    json: argv.flag("json"),
  };
}

function readApp(argv: ParsedArgv, fromArgs: string | undefined, registry: string): string {
  const flag = text(argv, "name");
  if (flag !== undefined) return checkAppName(flag, "--name");
  if (fromArgs !== undefined) return checkAppName(fromArgs, "--name");
  return appNameOf(registry);
}

function readHosts(argv: ParsedArgv): readonly string[] {
  const hosts = nonEmpty(argv, "host");
  for (const host of hosts) {
    try {
      listenSpecs(1, [host]);
    } catch (cause) {
      throw new ConfigError(
        `Invalid value for --host "${host}": expected an address of this machine, such as 127.0.0.1 or ::1`,
        { cause },
      );
    }
  }
  return hosts;
}

function readMappings(argv: ParsedArgv, hosts: readonly string[]): readonly PortMapping[] {
  const containerPort = port(argv, "container-port", 1);
  const typed = argv.texts("port");
  if (containerPort !== undefined && typed.length > 0 && typed.every((one) => one.includes(":"))) {
    throw new ConfigError(
      `--container-port ${containerPort} has no effect: --port ${typed.join(" --port ")} already names the port of the containers`,
    );
  }
  const same = containerPort === undefined ? [] : [String(containerPort)];
  try {
    return parsePortMappings(typed.length === 0 ? same : typed, { containerPort, hosts });
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    throw new ConfigError(`failed to parse port mappings: ${cause.message}`, { cause });
  }
}

function nonEmpty(argv: ParsedArgv, name: string): readonly string[] {
  return argv.texts(name).filter((value) => value !== "");
}

function unexpectedWord(word: string): ConfigError {
  const meant = nearest(word, ["list"]) === undefined ? "" : "; did you mean dewy container list?";
  return new ConfigError(
    `${unexpected(word, "container").message}; options of docker run go after "--"${meant}`,
  );
}
