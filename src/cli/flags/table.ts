/**
 * The tables of commands and flags. The parser, `--help` and the reference are derived from them.
 *
 * @module
 */

export type CommandName =
  | "server"
  | "assets"
  | "container"
  | "container list"
  | "check"
  | "explain"
  | "verify"
  | "registry"
  | "sign-index"
  | "cache prune"
  | "fleet status"
  | "fleet resume"
  | "fleet abort"
  | "status"
  | "history"
  | "releases"
  | "rollback"
  | "deploy"
  | "pin"
  | "unpin"
  | "pause"
  | "resume"
  | "skip"
  | "unskip"
  | "trust accept"
  | "poll"
  | "restart"
  | "upgrade";

export interface FlagSpec {
  readonly name: string;
  readonly short?: string;
  /** The placeholder of the value: `<url>`. Absent for booleans. */
  readonly value?: string;
  /** The commands that this text is written for. A flag with another text elsewhere has several entries. */
  readonly commands: readonly CommandName[];
  readonly description: string;
  /** Milliseconds for a `<duration>`, bytes for `<bytes>`. */
  readonly default?: string | number;
}

export interface CommandSpec {
  readonly name: CommandName;
  /** The command's part of the usage line. */
  readonly usage: string;
  readonly summary: string;
  readonly example: string;
}

/** The commands under the headings of `dewy --help`, both in its order. */
export const commandGroups: Readonly<Record<string, readonly CommandSpec[]>> = {
  Services: [
    {
      name: "server",
      usage: "server --registry <url> [flags] -- <command> [args]",
      summary:
        "Run a program and keep it on the newest version in a registry, without dropping requests",
      example: "dewy server --registry ghr://owner/repo --port 8080 -- /opt/app/current/app",
    },
    {
      name: "assets",
      usage: "assets --registry <url> [flags]",
      summary: "Keep the files in a directory at the newest version in a registry",
      example: "dewy assets --registry ghr://owner/repo --directory /var/www/app --interval 30s",
    },
    {
      name: "container",
      usage: "container --registry <url> [flags] [-- <docker run options>]",
      summary:
        "Run containers and keep them on the newest image in a registry, without dropping requests",
      example:
        "dewy container --registry img://ghcr.io/owner/app --port 8080:3000 --health-path /health",
    },
    {
      name: "registry",
      usage: "registry --upstream <url> --port <port> [flags]",
      summary:
        "Serve a registry to other machines over gRPC, so that they don't need its credentials",
      example:
        "dewy registry --upstream ghr://owner/repo --host :: --port 9000 --token-file /etc/dewy/token --tls-cert cert.pem --tls-key key.pem",
    },
  ],
  Questions: [
    {
      name: "status",
      usage: "status [flags]",
      summary:
        "Show the running versions on this machine, since when they run, and which versions wait",
      example: "dewy status",
    },
    {
      name: "history",
      usage: "history [flags]",
      summary: "Show the deploys, rollbacks, failures and commands of an app",
      example: "dewy history --name app --since 24h",
    },
    {
      name: "releases",
      usage: "releases [flags]",
      summary: "List the releases on disk: current, kept, bad and why",
      example: "dewy releases --name app",
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
      summary:
        "Show the newest version for this machine, even if it is marked bad here; exits 0 only if one is ready",
      example: "dewy check ghr://owner/repo --json",
    },
    {
      name: "explain",
      usage: "explain <registry> [flags]",
      summary: "Explain why each tag and artifact was chosen or skipped",
      example: "dewy explain 's3://eu-west-1/releases/app?pre-release=true'",
    },
    {
      name: "verify",
      usage: "verify <registry|file> [flags]",
      summary: "Verify a version or a file, and show who has signed it; deploys nothing",
      example: "dewy verify ghr://owner/repo --verify github=owner/repo",
    },
  ],
  Fleet: [
    {
      name: "fleet status",
      usage: "fleet status --cache <url> --fleet <name> [flags]",
      summary: "Show the rollout of a fleet: its hosts, their versions and waves, and failures",
      example: "dewy fleet status --cache s3://eu-west-1/bucket/app --fleet web",
    },
    {
      name: "fleet resume",
      usage: "fleet resume --cache <url> --fleet <name> [flags]",
      summary: "Go on with a halted rollout, and forgive the failures so far",
      example:
        'dewy fleet resume --cache s3://eu-west-1/bucket/app --fleet web --message "was the network"',
    },
    {
      name: "fleet abort",
      usage: "fleet abort --cache <url> --fleet <name> [flags]",
      summary: "End a rollout: no further host takes its version",
      example:
        'dewy fleet abort --cache s3://eu-west-1/bucket/app --fleet web --message "wrong prices"',
    },
    {
      name: "cache prune",
      usage: "cache prune --cache <url> [flags]",
      summary: "Remove artifacts and answers from a shared cache that nobody has used for long",
      example: "dewy cache prune --cache s3://eu-west-1/bucket/app --older-than 14d",
    },
  ],
  Publishing: [
    {
      name: "sign-index",
      usage: "sign-index [<tag> <file>...] [flags] [-- <command> [args]]",
      summary:
        "Write the list of versions for --verify index, and sign it with a command that gets its path; without a tag, only renew it",
      example: "dewy sign-index v1.2.0 app.tar.gz -- minisign -S -s minisign.key -m",
    },
  ],
  Steering: [
    {
      name: "rollback",
      usage: "rollback [tag] [flags]",
      summary:
        "Go back to an earlier version on this machine, and skip every version up to the one left behind",
      example: 'dewy rollback --name app --message "checkout fails"',
    },
    {
      name: "deploy",
      usage: "deploy <tag> [flags]",
      summary: "Deploy a version that the registry has, newer or older",
      example: "dewy deploy v1.2.0 --name app",
    },
    {
      name: "pin",
      usage: "pin <tag> [flags]",
      summary: "Stay on a version until unpin; deploys it if another one runs",
      example: "dewy pin v1.2.0 --name app",
    },
    {
      name: "unpin",
      usage: "unpin [flags]",
      summary: "Deploy new versions automatically again after pin",
      example: "dewy unpin --name app",
    },
    {
      name: "pause",
      usage: "pause [flags]",
      summary: "Deploy nothing automatically until resume; polling goes on",
      example: 'dewy pause --name app --message "database migration"',
    },
    {
      name: "resume",
      usage: "resume [flags]",
      summary: "Deploy new versions automatically again after pause",
      example: "dewy resume --name app",
    },
    {
      name: "skip",
      usage: "skip <tag> [flags]",
      summary: "Never deploy a version automatically",
      example: "dewy skip v1.3.0 --name app",
    },
    {
      name: "unskip",
      usage: "unskip [tag] [flags]",
      summary: "Allow a skipped version again; without a tag, all of them",
      example: "dewy unskip v1.3.0 --name app",
    },
    {
      name: "trust accept",
      usage: "trust accept <tag> [flags]",
      summary:
        "Deploy a version although its signer is another one or none; later versions must then have its signer",
      example: 'dewy trust accept v2.0.0 --name app --message "moved to a new repository"',
    },
    {
      name: "poll",
      usage: "poll [flags]",
      summary: "Ask the registry now, and wait for the outcome",
      example: "dewy poll --name app",
    },
    {
      name: "restart",
      usage: "restart [flags]",
      summary: "Restart the running version without dropping requests",
      example: "dewy restart --name app",
    },
  ],
  "dewy itself": [
    {
      name: "upgrade",
      usage: "upgrade [flags]",
      summary:
        "Replace this binary by the newest version of dewy; verified, and only if nothing else manages the file",
      example: "dewy upgrade --check",
    },
  ],
};

export const commands: readonly CommandSpec[] = Object.values(commandGroups).flat();

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const GIB = 1024 ** 3;

const SERVER: readonly CommandName[] = ["server"];
const ASSETS: readonly CommandName[] = ["assets"];
const CONTAINER: readonly CommandName[] = ["container"];
const CACHE: readonly CommandName[] = ["cache prune"];
const FLEET_CHANGE: readonly CommandName[] = ["fleet resume", "fleet abort"];
const FLEET: readonly CommandName[] = ["fleet status", ...FLEET_CHANGE];
const LIST: readonly CommandName[] = ["container list"];
const GATEWAY: readonly CommandName[] = ["registry"];
const ASKING: readonly CommandName[] = ["check", "explain", "verify"];
const FETCHING: readonly CommandName[] = ["server", "assets"];
const RUNNING: readonly CommandName[] = ["server", "container"];
const DEPLOYING: readonly CommandName[] = ["server", "assets", "container"];
const CONNECTED: readonly CommandName[] = [...DEPLOYING, ...ASKING, ...GATEWAY];
/** The commands that change a running instance. */
export const STEERING = [
  "rollback",
  "deploy",
  "pin",
  "unpin",
  "pause",
  "resume",
  "skip",
  "unskip",
  "trust accept",
  "poll",
  "restart",
] as const satisfies readonly CommandName[];
/** The commands that act on one or several instances of this machine. */
const ONE_INSTANCE: readonly CommandName[] = ["history", "releases", ...STEERING];
const LOCAL: readonly CommandName[] = ["status", ...ONE_INSTANCE];
const UPGRADE: readonly CommandName[] = ["upgrade"];
const ALL: readonly CommandName[] = [
  ...CONNECTED,
  ...LIST,
  ...CACHE,
  ...FLEET,
  ...LOCAL,
  ...UPGRADE,
];

/** The flags under the headings of `--help`, both in its order. */
export const flagGroups: Readonly<Record<string, readonly FlagSpec[]>> = {
  Registry: [
    {
      name: "registry",
      value: "<url>",
      commands: DEPLOYING,
      description: "URL of the registry that publishes the versions (required)",
    },
    {
      name: "registry",
      value: "<url>",
      commands: ASKING,
      description: "URL of the registry, instead of the argument <registry>",
    },
    {
      name: "registry",
      value: "<url>",
      commands: UPGRADE,
      description: "URL of the registry with dewy's releases",
      default: "ghr://dewy/dewy",
    },
    {
      name: "to",
      value: "<tag>",
      commands: UPGRADE,
      description: "Take this version, also an older one (default: the newest)",
    },
    {
      name: "check",
      commands: UPGRADE,
      description: "Only say whether there is a newer version, and how to upgrade",
    },
    {
      name: "upstream",
      value: "<url>",
      commands: GATEWAY,
      description: "URL of the registry to serve (required)",
    },
    {
      name: "interval",
      short: "i",
      value: "<duration>",
      commands: DEPLOYING,
      description: "How often to poll, at least 1s: 10 (seconds), 30s, 5m",
      default: 10 * SECOND,
    },
    {
      name: "interval",
      short: "i",
      value: "<duration>",
      commands: GATEWAY,
      description: "Minimum time between two polls of the upstream, at least 1s",
      default: 10 * SECOND,
    },
    {
      name: "max-stale",
      value: "<duration>",
      commands: GATEWAY,
      description: "How long to serve the last answer while the upstream is unavailable",
      default: HOUR,
    },
    {
      name: "slot",
      short: "s",
      value: "<name>",
      commands: CONNECTED,
      description: "Only use versions with this build metadata (v1.2.0+blue belongs to slot blue)",
    },
    {
      name: "calver",
      value: "<format>",
      commands: CONNECTED,
      description: "Read tags as CalVer in this format, such as YYYY.0M.MICRO, instead of SemVer",
    },
    {
      name: "platform",
      value: "<os>/<arch>",
      commands: ASKING,
      description: "Platform to ask for, such as linux/arm64 (default: this machine's)",
    },
    {
      name: "ca-file",
      value: "<path>",
      commands: [...CONNECTED, ...FLEET, ...CACHE, ...UPGRADE],
      description: "PEM file of additional CA certificates to trust",
    },
  ],
  Deploy: [
    {
      name: "once",
      commands: SERVER,
      description: "Deploy the current version, then keep the app running without polling",
    },
    { name: "once", commands: ASSETS, description: "Deploy the current version and exit" },
    {
      name: "once",
      commands: CONTAINER,
      description: "Deploy the current version, then keep the containers running without polling",
    },
    {
      name: "directory",
      short: "d",
      value: "<path>",
      commands: SERVER,
      description:
        "Directory of releases/ and the symlink current; a command such as /opt/app/current/app implies /opt/app",
      default: ".",
    },
    {
      name: "directory",
      short: "d",
      value: "<path>",
      commands: ASSETS,
      description: "Directory of releases/ and the symlink current",
      default: ".",
    },
    {
      name: "directory",
      short: "d",
      value: "<path>",
      commands: CONTAINER,
      description:
        "Directory of dewy's state (default: /var/lib/dewy/<app> as root, else ~/.local/state/dewy/<app>)",
    },
    {
      name: "name",
      short: "n",
      value: "<name>",
      commands: FETCHING,
      description:
        "Name of this instance for dewy status and other commands (default: the directory's name)",
    },
    {
      name: "cache",
      short: "c",
      value: "<url>",
      commands: DEPLOYING,
      description:
        "A bucket or directory in which machines share artifacts and, with registry-ttl=, the answers of the registry",
    },
    {
      name: "cache",
      short: "c",
      value: "<url>",
      commands: CACHE,
      description: "The cache to prune",
    },
    {
      name: "cache",
      short: "c",
      value: "<url>",
      commands: GATEWAY,
      description:
        "A bucket with registry-ttl= in which several gateways share the answers of the upstream",
    },
    {
      name: "older-than",
      value: "<duration>",
      commands: CACHE,
      description: "How long artifacts are kept after they were uploaded (default: 30d)",
    },
    {
      name: "dry-run",
      commands: CACHE,
      description: "List what would be removed, and remove nothing",
    },
    {
      name: "dry-run",
      commands: DEPLOYING,
      description:
        "Poll once and prepare the newest version, then print which version would be deployed and exit; runs no hook",
    },
    { name: "retry-bad", commands: DEPLOYING, description: "Retry versions previously marked bad" },
    {
      name: "accept-changed",
      value: "<tag>",
      commands: DEPLOYING,
      description:
        "Deploy this tag even though its bytes have changed since it was staged; applies once, to the bytes of the first poll; repeatable",
    },
  ],
  Verification: [
    {
      name: "verify",
      value: "<kind>",
      commands: [...DEPLOYING, ...ASKING],
      description:
        "What must be verified before a version goes live: checksums, minisign=KEY, ssh=ALLOWED_SIGNERS, openpgp=KEYFILE, sigstore=IDENTITY,ISSUER, sigstore-key=FILE, github=OWNER/REPO, index; auto (default): what the release offers, by the signer seen first; none; repeatable, all must hold",
    },
    {
      name: "verify",
      value: "<kind>",
      commands: UPGRADE,
      description:
        "What must be verified: the kinds of dewy server. Without --registry, github=dewy/dewy@release.yml is the default; none takes what the registry has",
    },
    {
      name: "trusted-root",
      value: "<path>",
      commands: [...DEPLOYING, ...ASKING, ...UPGRADE],
      description:
        "File with Sigstore's trusted root, for machines without a way out (default: shipped, and refreshed by TUF)",
    },
    {
      name: "tag",
      value: "<tag>",
      commands: ["verify"],
      description: "Verify this version (default: the newest)",
    },
    {
      name: "evidence",
      value: "<path>",
      commands: ["verify"],
      description:
        "A signature, bundle or checksum file to use, in addition to those next to the artifact; its name counts as if it were there; repeatable",
    },
    {
      name: "index",
      value: "<path>",
      commands: ["sign-index"],
      description: "The list to extend or renew; created if it does not exist",
      default: "dewy-index.json",
    },
    {
      name: "expires",
      value: "<duration>",
      commands: ["sign-index"],
      description:
        "How long the list is valid: machines then deploy nothing until it is renewed (default: 30d)",
    },
    {
      name: "confirm-major",
      commands: DEPLOYING,
      description:
        "Hold back a version more than one major version above all that were seen here, until dewy deploy",
    },
    {
      name: "max-staleness",
      value: "<duration>",
      commands: DEPLOYING,
      description: "Warn if the registry's listing has not changed for so long (default: never)",
    },
  ],
  Policy: [
    {
      name: "window",
      value: "<times>",
      commands: [...DEPLOYING, "explain"],
      description:
        'When new versions may be deployed, such as "mon-fri 09:00-17:00 Europe/Berlin"; repeatable. Rollbacks, restarts and a first deploy do not wait',
    },
    {
      name: "min-age",
      value: "<duration>",
      commands: [...DEPLOYING, "check", "explain"],
      description:
        "How long a version must have been published, and known to this machine, before it is deployed",
      default: 0,
    },
    {
      name: "no-downgrade",
      commands: DEPLOYING,
      description:
        "Never deploy a version automatically that is lower than the highest one deployed here, not even if that was deleted; the rules of --verify imply it",
    },
  ],
  Fleet: [
    {
      name: "cache",
      short: "c",
      value: "<url>",
      commands: FLEET,
      description:
        "URL of the cache that the hosts of the fleet share, such as s3://eu-west-1/bucket/app (required)",
    },
    {
      name: "fleet",
      value: "<name>",
      commands: FLEET,
      description: "Name of the fleet (required)",
    },
    {
      name: "member-ttl",
      value: "<duration>",
      commands: ["fleet status"],
      description:
        "How long a host may be silent before it counts as gone (default: as on the host that began the rollout; 10m)",
    },
    {
      name: "message",
      short: "m",
      value: "<text>",
      commands: FLEET_CHANGE,
      description: "Why; shown in the status and in notifications",
    },
    {
      name: "fleet",
      value: "<name>",
      commands: DEPLOYING,
      description:
        "Fleet that this host belongs to: its hosts take a new version in waves, and agree through the bucket of --cache",
    },
    {
      name: "fleet-host",
      value: "<name>",
      commands: DEPLOYING,
      description: "Name of this host, unique in the fleet (default: the host name)",
    },
    {
      name: "rollout",
      value: "<waves>",
      commands: DEPLOYING,
      description:
        "How many hosts take a version, wave by wave: numbers of hosts and shares of the fleet; the last wave is always all hosts",
      default: "1,10%,100%",
    },
    {
      name: "rollout-bake",
      value: "<duration>",
      commands: DEPLOYING,
      description: "How long a version must run on a host before it counts as good there",
      default: 10 * MINUTE,
    },
    {
      name: "max-failures",
      value: "<number>",
      commands: DEPLOYING,
      description: "How many hosts may fail before the rollout is halted on all hosts",
      default: 0,
    },
    {
      name: "member-ttl",
      value: "<duration>",
      commands: DEPLOYING,
      description:
        "How long a host that does not report still counts as a member of the fleet, at least 10s",
      default: 10 * MINUTE,
    },
    {
      name: "rollback-on-halt",
      commands: DEPLOYING,
      description:
        "Go back to the version before if a rollout is halted or aborted after this host has taken the new one",
    },
    {
      name: "rollout-check",
      value: "<command|prometheus>",
      commands: DEPLOYING,
      description:
        "What must find a wave of a rollout healthy before the next one begins: a shell command that exits with 0, or Prometheus",
    },
    {
      name: "prometheus-url",
      value: "<url>",
      commands: DEPLOYING,
      description: "Base URL of Prometheus, for --rollout-check prometheus",
    },
    {
      name: "prometheus-query",
      value: "<expression>",
      commands: DEPLOYING,
      description:
        "PromQL expression for --rollout-check prometheus; healthy if it has a result, and none is 0 or NaN. {{tag}}, {{wave}} and {{hosts}} are filled in",
    },
  ],
  Webhooks: [
    {
      name: "webhook-listen",
      value: "<address>",
      commands: DEPLOYING,
      description:
        "Where to receive webhooks that start a poll, such as 9001 (on loopback) or [::]:9001; requires --webhook-secret-file",
    },
    {
      name: "webhook-secret-file",
      value: "<path>",
      commands: DEPLOYING,
      description:
        "File with the secrets of webhooks, one per line, each with at least 16 characters; read again when it changes",
    },
  ],
  History: [
    {
      name: "since",
      value: "<duration>",
      commands: ["history"],
      description: "Only show entries of this time, such as 24h or 7d (default: everything)",
    },
    {
      name: "event",
      value: "<name>",
      commands: ["history"],
      description: "Only show events of this name, such as deployed or rolled-back; repeatable",
    },
    {
      name: "tag",
      value: "<tag>",
      commands: ["history"],
      description: "Only show entries about this version",
    },
    {
      name: "limit",
      value: "<number>",
      commands: ["history"],
      description: "Only show the last entries; 0 shows all",
      default: 50,
    },
    {
      name: "follow",
      commands: ["history"],
      description: "Keep printing new entries, until Ctrl-C",
    },
  ],
  Instance: [
    {
      name: "name",
      short: "n",
      value: "<name>",
      commands: ["status"],
      description: "Only show the instance with this name",
    },
    {
      name: "name",
      short: "n",
      value: "<name>",
      commands: ONE_INSTANCE,
      description: "Name of the instance; with a single instance, it can be left out",
    },
    {
      name: "directory",
      short: "d",
      value: "<path>",
      commands: ["status"],
      description: "Only show the instance of this directory, even if it does not run",
    },
    {
      name: "directory",
      short: "d",
      value: "<path>",
      commands: ONE_INSTANCE,
      description: "Directory of the instance, instead of its name; it need not run",
    },
  ],
  Steering: [
    {
      name: "message",
      short: "m",
      value: "<text>",
      commands: STEERING,
      description: "Reason, at most 500 characters; shown in the history and in notifications",
    },
    {
      name: "dry-run",
      commands: ["rollback", "deploy"],
      description: "Print the outcome that the command would have, and change nothing",
    },
  ],
  Ports: [
    {
      name: "port",
      short: "p",
      value: "<port>",
      commands: GATEWAY,
      description: "Port to listen on; 0 picks a free one (required)",
    },
    {
      name: "port",
      short: "p",
      value: "<port>",
      commands: SERVER,
      description:
        "Where to listen: 8080, 8080,8081, 8000-8005, localhost:8080, [::]:8080 or unix:/run/app.sock; repeatable; omit it for a worker",
    },
    {
      name: "port",
      short: "p",
      value: "<port>[:<container port>]",
      commands: CONTAINER,
      description:
        "Port to listen on, and the containers' port if it differs: 8080 or 8080:3000; repeatable (default: the containers' port)",
    },
    {
      name: "container-port",
      value: "<port>",
      commands: CONTAINER,
      description:
        "Containers' port, where --port does not name one (default: the only port that the image exposes)",
    },
    {
      name: "host",
      value: "<address>",
      commands: CONTAINER,
      description:
        "Address to listen on, such as 127.0.0.1 or ::1; repeatable (default: every address of this machine)",
    },
    {
      name: "host",
      value: "<address>",
      commands: GATEWAY,
      description:
        "Address to listen on; any other than loopback requires a token. 0.0.0.0 or :: listens on every address",
      default: "127.0.0.1",
    },
    {
      name: "balance",
      value: "<least-connections|round-robin>",
      commands: CONTAINER,
      description: "How the proxy chooses a container",
      default: "least-connections",
    },
    {
      name: "proxy-protocol",
      value: "<v1|v2>",
      commands: CONTAINER,
      description:
        "Send the client's address to the containers with the PROXY protocol; they must expect it",
    },
    {
      name: "proxy-idle-timeout",
      value: "<duration>",
      commands: CONTAINER,
      description: "Close connections idle for this long; 0 disables this",
      default: 5 * MINUTE,
    },
    {
      name: "admin-port",
      value: "<port>",
      commands: LIST,
      description: "Local port of dewy's admin API; the next 9 are tried as well",
      default: 17_539,
    },
  ],
  Access: [
    {
      name: "public-url",
      value: "<url>",
      commands: GATEWAY,
      description: "Base URL of artifact links (default: the Host header of each request)",
    },
    {
      name: "direct",
      commands: GATEWAY,
      description: "Return upstream URLs so that clients download directly from the upstream",
    },
    {
      name: "token-file",
      value: "<path>",
      commands: GATEWAY,
      description:
        "File with the bearer token that clients must send (default: the variable DEWY_REGISTRY_TOKEN)",
    },
    {
      name: "insecure-public",
      commands: GATEWAY,
      description:
        "Listen on any address without a token: anyone who can reach it can download the artifacts",
    },
    {
      name: "tls-cert",
      value: "<path>",
      commands: GATEWAY,
      description: "PEM file with the certificate and its chain, to serve TLS",
    },
    {
      name: "tls-key",
      value: "<path>",
      commands: GATEWAY,
      description: "PEM file with the certificate's private key",
    },
    {
      name: "signing-key-file",
      value: "<path>",
      commands: GATEWAY,
      description:
        "File with at least 32 random bytes, shared by all gateways (default: generated at startup)",
    },
  ],
  App: [
    {
      name: "restart",
      value: "<always|on-failure>",
      commands: SERVER,
      description: "When to restart an app that exits; with on-failure, exit code 0 is final",
      default: "always",
    },
    {
      name: "env-file",
      value: "<path>",
      commands: SERVER,
      description: "File of KEY=VALUE lines for the app's environment; repeatable, later files win",
    },
    {
      name: "isolate-env",
      commands: SERVER,
      description: "Keep dewy's own credentials out of the environment of the app and of hooks",
    },
    {
      name: "user",
      value: "<user>",
      commands: SERVER,
      description: "User to run the app as, by name or number; requires root",
    },
    {
      name: "group",
      value: "<group>",
      commands: SERVER,
      description: "Group to run the app as, by name or number; requires root",
    },
    {
      name: "log-prefix",
      commands: SERVER,
      description: "Prefix each line of the app's output with its generation and version",
    },
  ],
  Containers: [
    {
      name: "runtime",
      value: "<docker|podman>",
      commands: CONTAINER,
      description: "Engine that runs the containers",
      default: "docker",
    },
    {
      name: "runtime",
      value: "<docker|podman>",
      commands: LIST,
      description: "Engine to ask if no dewy answers",
      default: "docker",
    },
    {
      name: "name",
      short: "n",
      value: "<name>",
      commands: CONTAINER,
      description:
        "App name, which its containers and images get (default: the last part of the registry URL)",
    },
    {
      name: "replicas",
      value: "<number>",
      commands: CONTAINER,
      description: "How many containers to run",
      default: 1,
    },
    {
      name: "cmd",
      value: "<word>",
      commands: CONTAINER,
      description:
        "Override the image's command; repeat once per word, as --cmd=--flag if it begins with a dash",
    },
    {
      name: "allow-option",
      value: "<option>",
      commands: CONTAINER,
      description:
        "Allow an option after -- that weakens container isolation, such as privileged; repeatable",
    },
    {
      name: "keep-containers",
      commands: CONTAINER,
      description: "Leave the containers running when dewy stops; the next start adopts them",
    },
  ],
  Switch: [
    {
      name: "handoff",
      value: "<socket|proxy|none>",
      commands: SERVER,
      description:
        "How a new generation takes over: it shares the listening socket, serves behind dewy's TCP proxy, or starts after the old one has exited",
      default: "socket",
    },
    {
      name: "surge",
      value: "<number>",
      commands: CONTAINER,
      description:
        "Extra containers allowed during an update; 0 stops an old one before starting a new one",
      default: 1,
    },
    {
      name: "bake",
      value: "<duration>",
      commands: RUNNING,
      description:
        "How long to watch a new version before it counts as deployed; if it fails, dewy rolls back to the last good version. 0 disables this",
      default: 30 * SECOND,
    },
    {
      name: "overlap",
      value: "<duration>",
      commands: SERVER,
      description:
        "How long the old generation keeps running next to the new one so that it can take over again immediately; at most the bake time",
      default: 5 * SECOND,
    },
    {
      name: "signal-on-term",
      value: "<signal>",
      commands: SERVER,
      description: "Signal that asks the old generation to finish its work and exit",
      default: "TERM",
    },
    {
      name: "drain-time",
      value: "<duration>",
      commands: SERVER,
      description:
        "Grace period before the old generation is killed; behind the proxy, its connections drain first and it then gets at least 10s",
      default: 30 * SECOND,
    },
    {
      name: "drain-time",
      value: "<duration>",
      commands: CONTAINER,
      description:
        "How long connections to an old container may drain before they are closed and it is stopped; 0 closes them at once",
      default: 30 * SECOND,
    },
  ],
  Health: [
    {
      name: "health-path",
      value: "<path>",
      commands: SERVER,
      description:
        "HTTP path to check with --handoff proxy; 2xx or 3xx means healthy (default: the port accepts connections)",
    },
    {
      name: "health-path",
      value: "<path>",
      commands: CONTAINER,
      description:
        "HTTP path to check; 2xx or 3xx means healthy (default: the image's HEALTHCHECK, else the port accepts connections)",
    },
    {
      name: "health-timeout",
      value: "<duration>",
      commands: SERVER,
      description: "How long a new generation may take to become ready",
      default: 30 * SECOND,
    },
    {
      name: "health-timeout",
      value: "<duration>",
      commands: CONTAINER,
      description: "How long a new container may take to become healthy",
      default: 30 * SECOND,
    },
    {
      name: "ready-after",
      value: "<duration>",
      commands: SERVER,
      description:
        "Without the proxy: how long a new generation must keep running before it is ready",
      default: SECOND,
    },
    {
      name: "ready-command",
      value: "<command>",
      commands: SERVER,
      description:
        "Shell command that exits 0 once the new generation is ready; retried until it succeeds or the app signals readiness (DEWY_READY_FD, sd_notify)",
    },
  ],
  Hooks: [
    {
      name: "before-deploy-hook",
      value: "<command>",
      commands: DEPLOYING,
      description:
        "Shell command to run before the new version goes live; if it fails, the deploy is aborted",
    },
    {
      name: "after-deploy-hook",
      value: "<command>",
      commands: DEPLOYING,
      description: "Shell command to run once the new version is live",
    },
    {
      name: "hook-timeout",
      value: "<duration>",
      commands: DEPLOYING,
      description: "How long a hook may run before it is stopped",
      default: 10 * MINUTE,
    },
  ],
  Notifications: [
    {
      name: "notifier",
      value: "<url>",
      commands: DEPLOYING,
      description: "Where to send notifications; repeatable",
    },
    {
      name: "notifier-file",
      value: "<path>",
      commands: DEPLOYING,
      description:
        "File with URLs of notifiers, one per line, so that a secret URL is not in the process list; repeatable",
    },
  ],
  "Status page": [
    {
      name: "admin-port",
      value: "<port>",
      commands: CONTAINER,
      description:
        "Port of the status page and the admin API; if it is taken, the next 9 are tried",
      default: 17_539,
    },
    {
      name: "admin-port",
      value: "<port>",
      commands: FETCHING,
      description:
        "Serve the status page and the admin API on this port; if it is taken, the next 9 are tried (default with --telemetry: 17539)",
    },
    {
      name: "admin-host",
      value: "<address>",
      commands: DEPLOYING,
      description:
        "Address of the status page and the admin API; other addresses than loopback require --admin-token-file",
      default: "127.0.0.1",
    },
    {
      name: "admin-token-file",
      value: "<path>",
      commands: DEPLOYING,
      description:
        "File with tokens, one per line, that the page then requires as the password and the API as a bearer token; also shows log lines and operators' messages",
    },
  ],
  Telemetry: [
    {
      name: "telemetry",
      commands: DEPLOYING,
      description:
        "Collect metrics, and serve them for Prometheus at /metrics of the admin port; requires the OpenTelemetry packages",
    },
    {
      name: "metrics-public",
      commands: DEPLOYING,
      description: "Serve /metrics without the token of --admin-token-file",
    },
    {
      name: "otlp-endpoint",
      value: "<url>",
      commands: DEPLOYING,
      description:
        "Send metrics and the traces of deploys to this OpenTelemetry collector over HTTP; requires --telemetry",
    },
    {
      name: "otlp-insecure",
      commands: DEPLOYING,
      description: "Allow http:// for --otlp-endpoint, which defaults to https://",
    },
  ],
  Limits: [
    {
      name: "max-artifact-size",
      value: "<bytes>",
      commands: [...FETCHING, ...ASKING, ...UPGRADE],
      description: "Maximum size of an artifact",
      default: 2 * GIB,
    },
    {
      name: "max-expanded-size",
      value: "<bytes>",
      commands: FETCHING,
      description: "Maximum size of an extracted artifact",
      default: 8 * GIB,
    },
  ],
  Output: [
    {
      name: "json",
      commands: [...ASKING, ...LIST, ...FLEET, ...LOCAL],
      description: "Print JSON, for scripts",
    },
  ],
  Logging: [
    {
      name: "log-level",
      short: "l",
      value: "<debug|info|warn|error>",
      commands: DEPLOYING,
      description: "Lowest level to log; on a terminal, the default is info",
      default: "error",
    },
    {
      name: "log-level",
      short: "l",
      value: "<debug|info|warn|error>",
      commands: GATEWAY,
      description: "Lowest level to log",
      default: "info",
    },
    {
      name: "log-level",
      short: "l",
      value: "<debug|info|warn|error>",
      commands: [...ASKING, ...LIST, ...UPGRADE],
      description: "Lowest level to log",
      default: "error",
    },
    {
      name: "log-format",
      short: "f",
      value: "<text|json>",
      commands: DEPLOYING,
      description: "Log format; on a terminal, short lines unless this or --log-level is set",
      default: "text",
    },
    {
      name: "log-format",
      short: "f",
      value: "<text|json>",
      commands: [...ASKING, ...GATEWAY, ...LIST, ...UPGRADE],
      description: "Log format",
      default: "text",
    },
  ],
  General: [
    { name: "help", short: "h", commands: ALL, description: "Print this help and exit" },
    { name: "version", short: "v", commands: ALL, description: "Print the version and exit" },
  ],
};

export const flags: readonly FlagSpec[] = Object.values(flagGroups).flat();

/** In the order of the table. Without a command, the flags that need none. */
export function flagsOf(command: CommandName | undefined): readonly FlagSpec[] {
  if (command !== undefined) return flags.filter((flag) => flag.commands.includes(command));
  return flags.filter(({ name }) => name === "help" || name === "version");
}

/** A flag as it is typed: `-i, --interval <duration>`. */
export function spellFlag({ name, short, value }: FlagSpec): string {
  return `${short === undefined ? "" : `-${short}, `}--${name}${value === undefined ? "" : ` ${value}`}`;
}

/** A flag's default as it would be typed: `30s`, `2GiB`. */
export function defaultText(flag: FlagSpec): string | undefined {
  const { default: value } = flag;
  if (typeof value !== "number") return value;
  if (flag.value === "<duration>")
    return inLargestUnit(value, { h: HOUR, m: MINUTE, s: SECOND, ms: 1 });
  if (flag.value === "<bytes>")
    return inLargestUnit(value, { GiB: GIB, MiB: 1024 ** 2, KiB: 1024, B: 1 });
  return String(value);
}

function inLargestUnit(value: number, units: Readonly<Record<string, number>>): string {
  const [unit = "", size = 1] = Object.entries(units).find(([, size]) => value % size === 0) ?? [];
  return `${value / size}${unit}`;
}
