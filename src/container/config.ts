import { type DeployConfig, readDeploying } from "../cli/flags/deploy.ts";
import type { ParsedArgv } from "../cli/flags/parse.ts";
import {
  choice,
  choiceOr,
  count,
  duration,
  healthPath,
  numericDefault,
  port,
  text,
  unexpected,
} from "../cli/flags/values.ts";
import type { Environment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import { nearest } from "../core/nearest.ts";
import type { Balance } from "../host/proxy/backend_pool.ts";
import type { ProxyProtocol } from "../host/proxy/proxy_header.ts";
import type { EngineName } from "./engine/engine.ts";
import { checkContainerArgs } from "./options/args.ts";
import { appNameOf, checkAppName } from "./options/names.ts";
import { listenSpecs, type PortMapping, parsePortMappings } from "./options/ports.ts";

/** The engines' default. */
const STOP_TIMEOUT_MS = 10_000;

/** The options of `dewy container`. */
export interface ContainerConfig extends DeployConfig {
  command: "container";
  /** The name of the app, part of the names of its containers and images. */
  app: string;
  /** Defaults to the directory of `containerDirectory`. */
  directory: string | undefined;
  /** If empty, the proxy listens on the only port that the image exposes. */
  mappings: readonly PortMapping[];
  /** The addresses to listen on. If empty, the proxy listens on every address. */
  hosts: readonly string[];
  replicas: number;
  /** How many containers more than `replicas` may run during an update. */
  surge: number;
  healthPath: string | undefined;
  /** How long a container may take to become healthy. */
  healthTimeoutMs: number;
  /** How long the connections of a container may drain; 0 closes them at once. */
  drainTimeMs: number;
  /** How long a new version is watched before it counts as good; 0 disables the bake. */
  bakeMs: number;
  /** How long a connection may be idle; 0 disables the timeout. */
  proxyIdleTimeoutMs: number;
  balance: Balance;
  /** Sends the client's address to the containers. */
  proxyProtocol: ProxyProtocol | undefined;
  engine: EngineName;
  /** If empty, the image's own command runs. */
  cmd: readonly string[];
  /** The options after `--`, checked, without `--name`. */
  args: readonly string[];
  /** The `--user` in `args`. */
  user: string | undefined;
  /** The time between the stop signal and the kill. */
  stopTimeoutMs: number;
  /** The `--env` variables in `args`. An `undefined` value is taken from dewy's own environment. */
  containerEnv: Environment;
  /** Keeps the containers running when dewy exits. */
  keepContainers: boolean;
  /** The first of the ten ports to try for the admin API. */
  adminPort: number;
}

/** Reads the command line of `dewy container`. */
export function readContainer(argv: ParsedArgv): ContainerConfig {
  if (argv.words[0] !== undefined) throw unexpectedWord(argv.words[0]);
  const deploying = readDeploying(argv);
  const checked = checkContainerArgs(argv.rest, nonEmpty(argv, "allow-option"));
  const { args, name, user, env: containerEnv, stopTimeoutMs = STOP_TIMEOUT_MS } = checked;
  const hosts = readHosts(argv);
  const config: ContainerConfig = {
    command: "container",
    ...deploying,
    app: readApp(argv, name, deploying.registry),
    directory: text(argv, "directory"),
    mappings: readMappings(argv, hosts),
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
    cmd: nonEmpty(argv, "cmd"),
    args,
    user,
    containerEnv,
    stopTimeoutMs,
    keepContainers: argv.flag("keep-containers"),
    adminPort: port(argv, "admin-port", 1) ?? numericDefault(argv, "admin-port"),
  };
  if (config.surge === 0 && config.replicas === 1) {
    throw new ConfigError(
      "--surge 0 needs --replicas 2 or more: an update would stop the only container before the new one starts",
    );
  }
  return config;
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
