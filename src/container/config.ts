import { type DeployConfig, readDeploying } from "../cli/flags/deploy.ts";
import type { ParsedArgv } from "../cli/flags/parse.ts";
import { choice, count, duration, healthPath, port, text } from "../cli/flags/values.ts";
import { ConfigError } from "../core/error.ts";
import { nearest } from "../core/nearest.ts";
import { redactUrl } from "../core/url.ts";
import type { Balance } from "../host/proxy/backend_pool.ts";
import type { ProxyProtocol } from "../host/proxy/proxy_header.ts";
import { ADMIN_PORT } from "./admin/server.ts";
import type { EngineName } from "./engine/engine.ts";
import { checkContainerArgs } from "./options/args.ts";
import { appNameOf, checkAppName } from "./options/names.ts";
import { listenSpecs, type PortMapping, parsePortMappings } from "./options/ports.ts";

/** That of the engines. */
const STOP_TIMEOUT_MS = 10_000;

/** What `dewy container` is told. */
export interface ContainerConfig extends DeployConfig {
  command: "container";
  /** The name of the app, which its containers and images bear. */
  app: string;
  /** Where dewy remembers what runs; `undefined`: see `container_directory.ts`. */
  directory: string | undefined;
  /** Which port leads where; empty: the only port that the image exposes is listened on as well. */
  mappings: readonly PortMapping[];
  /** The addresses to listen on; empty: every address of this machine. */
  hosts: readonly string[];
  /** How many containers run. The default is 1. */
  replicas: number;
  /** How many more may run during an update. The default is 1. */
  surge: number;
  /** The path to ask for a container's health. */
  healthPath: string | undefined;
  /** How long a container may take to become healthy, in milliseconds. The default is 30 seconds. */
  healthTimeoutMs: number;
  /** How long the connections to an old container may take to end, in milliseconds. The default is 30 seconds; 0: cut at once. */
  drainTimeMs: number;
  /** How long a new version is on probation, in milliseconds. The default is 30 seconds; 0: not at all. */
  bakeMs: number;
  /** How long a connection may be silent, in milliseconds. The default is 300 seconds; 0: for ever. */
  proxyIdleTimeoutMs: number;
  /** How the proxy chooses among containers. The default is `least-connections`. */
  balance: Balance;
  /** How containers are told the client's address; `undefined`: not at all. */
  proxyProtocol: ProxyProtocol | undefined;
  /** The program that runs the containers. The default is `docker`. */
  engine: EngineName;
  /** What to run instead of the image's own command; empty: that one. */
  cmd: readonly string[];
  /** The options after `--`, checked, without `--name`. */
  args: readonly string[];
  /** The `--user` among them; `undefined`: none. */
  user: string | undefined;
  /** What a container has between the signal to end and its end, in milliseconds. The default is 10 seconds. */
  stopTimeoutMs: number;
  /** The variables that containers get by `--env` among them; `undefined`: as dewy has it. */
  containerEnv: Readonly<Record<string, string | undefined>>;
  /** Leave the containers running at the end. */
  keepContainers: boolean;
  /** The first of the ten ports to try for the admin API. The default is 17539. */
  adminPort: number;
}

/**
 * Reads the command line of `dewy container`.
 *
 * @param argv the command line.
 * @returns what the command is told.
 * @throws ConfigError that names the flag.
 */
export function readContainer(argv: ParsedArgv): ContainerConfig {
  if (argv.words[0] !== undefined) throw strayWord(argv.words[0]);
  const deploying = readDeploying(argv);
  const typed = checkContainerArgs(argv.rest, given(argv, "allow-option"));
  const { args, name, user, env: containerEnv, stopTimeoutMs = STOP_TIMEOUT_MS } = typed;
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
    balance: choice(argv, "balance", ["least-connections", "round-robin"]) ?? "least-connections",
    proxyProtocol: choice(argv, "proxy-protocol", ["v1", "v2"]),
    engine: readEngine(argv),
    cmd: given(argv, "cmd"),
    args,
    user,
    containerEnv,
    stopTimeoutMs,
    keepContainers: argv.flag("keep-containers"),
    adminPort: port(argv, "admin-port", 1) ?? ADMIN_PORT,
  };
  if (config.surge === 0 && config.replicas === 1) {
    throw new ConfigError(
      "--surge 0 needs --replicas 2 or more: an update would stop the only container before the new one is there",
    );
  }
  return config;
}

/**
 * Reads which program runs the containers.
 *
 * @param argv the command line.
 * @returns its name. The default is `docker`.
 * @throws ConfigError for another one.
 */
export function readEngine(argv: ParsedArgv): EngineName {
  const value = text(argv, "runtime") ?? "docker";
  const known: readonly EngineName[] = ["docker", "podman"];
  const found = known.find((name) => name === value.toLowerCase());
  if (found !== undefined) return found;
  const near = nearest(value.toLowerCase(), known);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  throw new ConfigError(`Cannot use --runtime "${value}": expected docker or podman${hint}`);
}

function readApp(argv: ParsedArgv, fromArgs: string | undefined, registry: string): string {
  const flag = text(argv, "name");
  if (flag !== undefined) return checkAppName(flag, "--name");
  if (fromArgs !== undefined) return checkAppName(fromArgs, "--name");
  return appNameOf(registry);
}

function readHosts(argv: ParsedArgv): readonly string[] {
  const hosts = given(argv, "host");
  for (const host of hosts) {
    try {
      listenSpecs(1, [host]);
    } catch (cause) {
      throw new ConfigError(
        `Cannot use --host "${host}": expected an address of this machine, such as 127.0.0.1 or ::1`,
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
      `--container-port ${containerPort} has no effect: --port ${typed.join(" --port ")} names the port of the containers already`,
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

/** All values of a repeatable flag that are not empty. */
function given(argv: ParsedArgv, name: string): readonly string[] {
  return argv.texts(name).filter((value) => value !== "");
}

function strayWord(word: string): ConfigError {
  const meant = nearest(word, ["list"]) === undefined ? "" : "; did you mean dewy container list?";
  return new ConfigError(
    `unexpected "${redactUrl(word)}": dewy container takes no such word; options of docker run go after "--"${meant}`,
  );
}
