/**
 * THE tables of commands and flags. The parser, `--help` and the README are derived from them.
 *
 * @module
 */

/** The commands of this version. */
export type CommandName =
  | "server"
  | "assets"
  | "container"
  | "container list"
  | "check"
  | "explain"
  | "registry";

/** How the value of a flag is written; a boolean has none. */
export type FlagType = "boolean" | "string" | "number" | "duration" | "bytes" | "choice" | "port";

/** One flag. */
export interface FlagSpec {
  /** The long name, without dashes. */
  readonly name: string;
  /** The one-letter name. */
  readonly short?: string;
  /** How the value is written. */
  readonly type: FlagType;
  /** What stands for the value in help: `<url>`. Absent for booleans. */
  readonly value?: string;
  /** The values of a choice. */
  readonly choices?: readonly string[];
  /** Whether every occurrence counts; otherwise the last one wins. */
  readonly repeatable?: boolean;
  /** The commands that have it. */
  readonly commands: readonly CommandName[];
  /** One line on what it does. */
  readonly description: string;
  /** The value when it is not given, as it would be typed. */
  readonly default?: string;
}

/** One command. */
export interface CommandSpec {
  /** What is typed: a word, or two. */
  readonly name: CommandName;
  /** The rest of the usage line. */
  readonly usage: string;
  /** One line on what it does. */
  readonly summary: string;
  /** A command line to copy. */
  readonly example: string;
}

/** The commands, in the order of help. */
export const commands: readonly CommandSpec[] = [
  {
    name: "server",
    usage: "server --registry <url> [flags] -- <command> [args]",
    summary: "Keep a program running at the newest version of a registry, without losing a request",
    example: "dewy server --registry ghr://owner/repo --port 8080 -- /opt/app/current/app",
  },
  {
    name: "assets",
    usage: "assets --registry <url> [flags]",
    summary: "Keep the files in a directory at the newest version of a registry",
    example: "dewy assets --registry ghr://owner/repo --directory /var/www/app --interval 30s",
  },
  {
    name: "container",
    usage: "container --registry <url> [flags] [-- <options of docker run>]",
    summary: "Keep containers running at the newest image of a registry, without losing a request",
    example:
      "dewy container --registry img://ghcr.io/owner/app --port 8080:3000 --health-path /health",
  },
  {
    name: "container list",
    usage: "container list [flags]",
    summary: "List the containers that dewy runs on this machine",
    example: "dewy container list",
  },
  {
    name: "check",
    usage: "check <registry> [flags]",
    summary: "Say which version would be deployed here; exit 0 only when it is ready",
    example: "dewy check ghr://owner/repo --json",
  },
  {
    name: "explain",
    usage: "explain <registry> [flags]",
    summary: "Say of every tag and file why it is chosen, or why not",
    example: "dewy explain 's3://eu-west-1/releases/app?pre-release=true'",
  },
  {
    name: "registry",
    usage: "registry --upstream <url> --port <port> [flags]",
    summary: "Serve a registry to other machines by gRPC, so that they need no credentials for it",
    example:
      "dewy registry --upstream ghr://owner/repo --host :: --port 9000 --token-file /etc/dewy/token --tls-cert cert.pem --tls-key key.pem",
  },
];

const GATEWAY: readonly CommandName[] = ["registry"];
const SERVING: readonly CommandName[] = ["server"];
const CONTAINER: readonly CommandName[] = ["container"];
const LISTING: readonly CommandName[] = ["container list"];
/** Those that keep a program running. */
const RUNNING: readonly CommandName[] = [...SERVING, ...CONTAINER];
/** Those that download artifacts. */
const FETCHING: readonly CommandName[] = ["server", "assets"];
const DEPLOYING: readonly CommandName[] = ["server", "assets", "container"];
const ASKING: readonly CommandName[] = ["check", "explain"];
const REGISTRY: readonly CommandName[] = [...DEPLOYING, ...ASKING];
const POLLING: readonly CommandName[] = [...DEPLOYING, ...GATEWAY];
const CONNECTED: readonly CommandName[] = [...REGISTRY, ...GATEWAY];
const ALL: readonly CommandName[] = [...CONNECTED, ...LISTING];

/** The flags, in the order of help. */
export const flags: readonly FlagSpec[] = [
  {
    name: "registry",
    type: "string",
    value: "<url>",
    commands: REGISTRY,
    description: "Where versions are published (required)",
  },
  {
    name: "upstream",
    type: "string",
    value: "<url>",
    commands: GATEWAY,
    description: "The registry to serve (required)",
  },
  {
    name: "port",
    short: "p",
    type: "port",
    value: "<port>",
    commands: GATEWAY,
    description: "The port to listen on; 0: any that is free (required)",
  },
  {
    name: "host",
    type: "string",
    value: "<address>",
    commands: GATEWAY,
    description:
      "The address to listen on: 0.0.0.0 or :: for all of this machine; without a token only loopback",
    default: "127.0.0.1",
  },
  {
    name: "insecure-public",
    type: "boolean",
    commands: GATEWAY,
    description: "Listen on any address without a token: anyone can download the artifacts",
  },
  {
    name: "tls-cert",
    type: "string",
    value: "<path>",
    commands: GATEWAY,
    description: "A PEM file of the certificate and its chain, to speak TLS",
  },
  {
    name: "tls-key",
    type: "string",
    value: "<path>",
    commands: GATEWAY,
    description: "A PEM file of the certificate's private key",
  },
  {
    name: "token-file",
    type: "string",
    value: "<path>",
    commands: GATEWAY,
    description: "A file of the bearer token that calls must have (or DEWY_REGISTRY_TOKEN)",
  },
  {
    name: "public-url",
    type: "string",
    value: "<url>",
    commands: GATEWAY,
    description: "Base URL of artifact links (default: the address in each request's Host header)",
  },
  {
    name: "signing-key-file",
    type: "string",
    value: "<path>",
    commands: GATEWAY,
    description:
      "A file of at least 32 random bytes that several gateways share (default: made anew)",
  },
  {
    name: "direct",
    type: "boolean",
    commands: GATEWAY,
    description:
      "Answer with the upstream's own addresses: machines download from there themselves",
  },
  {
    name: "max-stale",
    type: "duration",
    value: "<duration>",
    commands: GATEWAY,
    description: "How long the last answer is served while the upstream fails",
    default: "1h",
  },
  {
    name: "interval",
    short: "i",
    type: "duration",
    value: "<duration>",
    commands: POLLING,
    description: "How often to poll: 10 (seconds), 30s, 5m; at least 1s",
    default: "10s",
  },
  {
    name: "once",
    type: "boolean",
    commands: DEPLOYING,
    description:
      "Deploy what is there and exit; server and container go on running it, without polling",
  },
  {
    name: "directory",
    short: "d",
    type: "string",
    value: "<path>",
    commands: FETCHING,
    description:
      "Where releases/ and the link current are kept; server takes /opt/app of a command /opt/app/current/app",
    default: ".",
  },
  {
    name: "directory",
    short: "d",
    type: "string",
    value: "<path>",
    commands: CONTAINER,
    description:
      "Where dewy remembers what runs (default: /var/lib/dewy/<app> as root, else ~/.local/state/dewy/<app>)",
  },
  {
    name: "slot",
    short: "s",
    type: "string",
    value: "<name>",
    commands: CONNECTED,
    description: "Only versions with this build metadata: v1.2.0+blue is of slot blue",
  },
  {
    name: "calver",
    type: "string",
    value: "<format>",
    commands: CONNECTED,
    description: "Tags are CalVer of this format, such as YYYY.0M.MICRO, not SemVer",
  },
  {
    name: "platform",
    type: "string",
    value: "<os>/<arch>",
    commands: ASKING,
    description: "Ask for another machine, such as linux/arm64 (default: this one)",
  },
  {
    name: "json",
    type: "boolean",
    commands: [...ASKING, ...LISTING],
    description: "Print JSON for scripts",
  },
  {
    name: "port",
    short: "p",
    type: "port",
    value: "<port>",
    repeatable: true,
    commands: SERVING,
    description:
      "Where to listen: 8080, 8080,8081, 8000-8005, localhost:8080, [::]:8080 or unix:/run/app.sock; without it the app is a worker",
  },
  {
    name: "port",
    short: "p",
    type: "port",
    value: "<port>[:<container port>]",
    repeatable: true,
    commands: CONTAINER,
    description:
      "Where to listen, and the port of the containers: 8080 or 8080:3000; repeatable; without it: on the container port",
  },
  {
    name: "container-port",
    type: "port",
    value: "<port>",
    commands: CONTAINER,
    description:
      "The port of the containers, where --port names none (default: the only one that the image exposes)",
  },
  {
    name: "host",
    type: "string",
    value: "<address>",
    repeatable: true,
    commands: CONTAINER,
    description:
      "The address to listen on: 127.0.0.1, ::1; repeatable (default: every address of this machine)",
  },
  {
    name: "replicas",
    type: "number",
    value: "<number>",
    commands: CONTAINER,
    description: "How many containers to run",
    default: "1",
  },
  {
    name: "surge",
    type: "number",
    value: "<number>",
    commands: CONTAINER,
    description:
      "How many more may run during an update; 0: an old one goes before a new one comes",
    default: "1",
  },
  {
    name: "handoff",
    type: "choice",
    value: "<how>",
    choices: ["socket", "proxy", "none"],
    commands: SERVING,
    description:
      "How a new generation takes over: it shares the listening socket, stands behind dewy's TCP proxy, or starts when the old one has ended",
    default: "socket",
  },
  {
    name: "health-path",
    type: "string",
    value: "<path>",
    commands: SERVING,
    description:
      "With --handoff proxy: the path that answers 2xx or 3xx when the app is healthy; without it, its port accepts",
  },
  {
    name: "health-path",
    type: "string",
    value: "<path>",
    commands: CONTAINER,
    description:
      "The path that answers 2xx or 3xx when a container is healthy; without it: the image's HEALTHCHECK, else its port accepts",
  },
  {
    name: "health-timeout",
    type: "duration",
    value: "<duration>",
    commands: RUNNING,
    description: "How long a new generation or container may take to become ready",
    default: "30s",
  },
  {
    name: "ready-after",
    type: "duration",
    value: "<duration>",
    commands: SERVING,
    description: "Without the proxy: how long a new generation must stay up before it is ready",
    default: "1s",
  },
  {
    name: "ready-command",
    type: "string",
    value: "<command>",
    commands: SERVING,
    description:
      "Shell command that exits 0 when the new generation is ready; run again until it does, or the app says so (DEWY_READY_FD, sd_notify)",
  },
  {
    name: "overlap",
    type: "duration",
    value: "<duration>",
    commands: SERVING,
    description:
      "How long the old generation stays beside the new one that is ready, to serve on at once if that one ends; at most the bake time",
    default: "5s",
  },
  {
    name: "signal-on-term",
    type: "string",
    value: "<signal>",
    commands: SERVING,
    description: "The signal that asks the old generation to finish its work and exit",
    default: "TERM",
  },
  {
    name: "drain-time",
    type: "duration",
    value: "<duration>",
    commands: SERVING,
    description:
      "How long the old generation may take for that, before it is killed; behind the proxy its connections come first, and it then has at least 10 s",
    default: "30s",
  },
  {
    name: "drain-time",
    type: "duration",
    value: "<duration>",
    commands: CONTAINER,
    description:
      "How long the connections to an old container may take to end, before they are cut and it is stopped; 0: at once",
    default: "30s",
  },
  {
    name: "bake",
    type: "duration",
    value: "<duration>",
    commands: RUNNING,
    description:
      "How long to watch a new version before it counts as deployed; if it fails, dewy rolls back to the last good version (0: do not watch)",
    default: "30s",
  },
  {
    name: "restart",
    type: "choice",
    value: "<when>",
    choices: ["always", "on-failure"],
    commands: SERVING,
    description:
      "When to start an app again that has ended: always, or on-failure (exit 0 is then an end)",
    default: "always",
  },
  {
    name: "runtime",
    type: "choice",
    value: "<program>",
    choices: ["docker", "podman"],
    commands: [...CONTAINER, ...LISTING],
    description: "What runs the containers: docker or podman",
    default: "docker",
  },
  {
    name: "cmd",
    type: "string",
    value: "<word>",
    repeatable: true,
    commands: CONTAINER,
    description:
      "What to run instead of the image's own command; one --cmd a word, --cmd=--flag where it begins with a dash",
  },
  {
    name: "name",
    short: "n",
    type: "string",
    value: "<name>",
    commands: CONTAINER,
    description: "The app's name, for its containers (default: the last part of the registry)",
  },
  {
    name: "balance",
    type: "choice",
    value: "<how>",
    choices: ["least-connections", "round-robin"],
    commands: CONTAINER,
    description: "How to choose among the containers: least-connections or round-robin",
    default: "least-connections",
  },
  {
    name: "proxy-protocol",
    type: "choice",
    value: "<version>",
    choices: ["v1", "v2"],
    commands: CONTAINER,
    description:
      "Tell the containers the client's address by the PROXY protocol: v1 or v2; they must expect it",
  },
  {
    name: "proxy-idle-timeout",
    type: "duration",
    value: "<duration>",
    commands: CONTAINER,
    description: "How long a connection may be silent before it is cut; 0: for ever",
    default: "300s",
  },
  {
    name: "keep-containers",
    type: "boolean",
    commands: CONTAINER,
    description: "Leave the containers running when dewy stops; the next start takes them over",
  },
  {
    name: "allow-option",
    type: "string",
    value: "<option>",
    repeatable: true,
    commands: CONTAINER,
    description:
      "Allow an option after -- that gives a container power over this machine, such as privileged; repeatable",
  },
  {
    name: "admin-port",
    type: "port",
    value: "<port>",
    commands: [...CONTAINER, ...LISTING],
    description: "The port of the admin API on this machine; when it is taken, one of the next 9",
    default: "17539",
  },
  {
    name: "log-prefix",
    type: "boolean",
    commands: SERVING,
    description: "Begin each line of the app's output with its generation and version",
  },
  {
    name: "env-file",
    type: "string",
    value: "<path>",
    repeatable: true,
    commands: SERVING,
    description: "File of KEY=VALUE lines for the app's environment; repeatable, later files win",
  },
  {
    name: "isolate-env",
    type: "boolean",
    commands: SERVING,
    description: "Keep dewy's own credentials out of the app's environment",
  },
  {
    name: "user",
    type: "string",
    value: "<user>",
    commands: SERVING,
    description: "Run the app as this user, by name or number; needs root",
  },
  {
    name: "group",
    type: "string",
    value: "<group>",
    commands: SERVING,
    description: "Run the app as this group, by name or number; needs root",
  },
  {
    name: "before-deploy-hook",
    type: "string",
    value: "<command>",
    commands: DEPLOYING,
    description: "Shell command to run before the new version goes live; its failure aborts",
  },
  {
    name: "after-deploy-hook",
    type: "string",
    value: "<command>",
    commands: DEPLOYING,
    description: "Shell command to run when the new version is live",
  },
  {
    name: "hook-timeout",
    type: "duration",
    value: "<duration>",
    commands: DEPLOYING,
    description: "How long a hook may run",
    default: "10m",
  },
  {
    name: "notifier",
    type: "string",
    value: "<url>",
    commands: DEPLOYING,
    description: "Where to send notifications",
  },
  {
    name: "max-artifact-size",
    type: "bytes",
    value: "<bytes>",
    commands: FETCHING,
    description: "The largest artifact to download",
    default: "2GiB",
  },
  {
    name: "max-expanded-size",
    type: "bytes",
    value: "<bytes>",
    commands: FETCHING,
    description: "The largest size of an extracted artifact",
    default: "8GiB",
  },
  {
    name: "retry-bad",
    type: "boolean",
    commands: DEPLOYING,
    description: "Try versions again that are remembered as bad",
  },
  {
    name: "accept-changed",
    type: "string",
    value: "<tag>",
    repeatable: true,
    commands: DEPLOYING,
    description:
      "Deploy this tag although its bytes have changed since it was staged; once, for the bytes of the first poll; repeatable",
  },
  {
    name: "ca-file",
    type: "string",
    value: "<path>",
    commands: CONNECTED,
    description: "A PEM file of certificate authorities to trust besides the usual ones",
  },
  {
    name: "log-level",
    short: "l",
    type: "choice",
    value: "<level>",
    choices: ["debug", "info", "warn", "error"],
    commands: ALL,
    description:
      "The least important lines to log: debug, info, warn or error; registry, and commands that deploy on a terminal, show info",
    default: "error",
  },
  {
    name: "log-format",
    short: "f",
    type: "choice",
    value: "<format>",
    choices: ["text", "json"],
    commands: ALL,
    description: "How to log: text or json; on a terminal, short lines for people",
    default: "text",
  },
  {
    name: "help",
    short: "h",
    type: "boolean",
    commands: ALL,
    description: "Print help and exit",
  },
  {
    name: "version",
    short: "v",
    type: "boolean",
    commands: ALL,
    description: "Print the version and exit",
  },
];

/**
 * The flags of one command.
 *
 * @param command the command; `undefined` for those that need none.
 * @returns its flags, in the order of help.
 */
export function flagsOf(command: CommandName | undefined): readonly FlagSpec[] {
  if (command === undefined) return flags.filter((flag) => isGlobal(flag));
  return flags.filter((flag) => flag.commands.includes(command));
}

function isGlobal(flag: FlagSpec): boolean {
  return flag.name === "help" || flag.name === "version";
}

/**
 * A flag as it is typed: `-i, --interval <duration>`.
 *
 * @param flag the flag.
 * @returns its spelling.
 */
export function spellFlag(flag: FlagSpec): string {
  const short = flag.short === undefined ? "" : `-${flag.short}, `;
  return `${short}--${flag.name}${flag.value === undefined ? "" : ` ${flag.value}`}`;
}
