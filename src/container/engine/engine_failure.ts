import {
  ConfigError,
  ConflictError,
  CredentialError,
  DeployError,
  type DewyError,
  HostError,
  NotFoundError,
  RemoteError,
} from "../../core/error.ts";
import { redactText } from "../../core/secret.ts";
import type { ContainerSpec } from "./engine.ts";

/** A command of an engine that failed. */
export interface FailedCommand {
  /** `docker` or `podman`. */
  program: string;
  /** What it was for, such as `pull ghcr.io/o/r@sha256:…`. */
  action: string;
  /** Its exit code; `null`: a signal ended it. */
  exitCode: number | null;
  /** What it wrote to standard error. */
  said: string;
  /** The container it was to create or start. */
  spec?: ContainerSpec | undefined;
}

/** What the words of an engine mean. */
interface Meaning {
  words: RegExp;
  error(message: string, failed: FailedCommand): DewyError;
}

/** The same would happen again. */
const FINAL = { retryable: false };

/** Two may remove a container at once. */
const GONE =
  /no such (container|object)|no container with (name or )?id|removal of container .* is already in progress/i;
const PORT_TAKEN =
  /port is already allocated|address already in use|failed to bind (host )?port|bind for .* failed/i;

/**
 * What runc, crun and Podman say of the program of a container, and nothing else does: the runtime itself, its shim and
 * its hooks may be missing as well.
 */
const NOT_EXECUTABLE = new RegExp(
  [
    /container process[^\n]*: exec: "[^"\n]*": (stat [^\n]*: )?/.source +
      /(executable file not found|no such file|permission denied|is a directory|not a directory)/
        .source,
    /exec user process caused: (exec format error|no such file|permission denied)/.source,
    /(?<!fork\/)\bexec [^\s":]+: (exec format error|no such file|permission denied)/.source,
    /crun: (executable file `[^`\n]*` not found|open executable)/.source,
    /no command (specified|or entrypoint provided)/.source,
  ].join("|"),
  "i",
);
const NO_SUCH_USER =
  /unable to find (user|group) [^\n]*: no matching entries in (passwd|group) file/i;

/** The first that fits counts. */
const MEANINGS: readonly Meaning[] = [
  {
    words: /permission denied while trying to connect|dial unix .*: connect: permission denied/i,
    error: (message, { program }) =>
      new HostError(
        `${message}; this user may not use ${program}: add it to the group of its socket ("docker"), or run dewy as root`,
      ),
  },
  {
    words:
      /cannot connect to (the docker daemon|podman)|unable to connect to podman|error during connect|is the docker daemon running/i,
    error: (message, { program }) =>
      new HostError(`${message}; start it, such as by: systemctl start ${program}`),
  },
  {
    words: /server gave HTTP response to HTTPS client/i,
    error: (message) =>
      new HostError(
        `${message}; the registry speaks plain HTTP, which the Docker service allows on loopback only: add its host to "insecure-registries" in /etc/docker/daemon.json and restart Docker`,
        FINAL,
      ),
  },
  {
    words: /x509:|certificate signed by unknown authority|failed to verify certificate/i,
    error: (message, { program }) =>
      new HostError(
        `${message}; the engine does not know who signed the registry's certificate: put the authority's certificate into ${program === "docker" ? "/etc/docker/certs.d/<registry host>/ca.crt" : "/etc/containers/certs.d/<registry host>/ca.crt"}`,
        FINAL,
      ),
  },
  {
    words: /no space left on device|disk quota exceeded/i,
    error: (message) => new HostError(`${message}; make room on the disk of the engine`),
  },
  {
    words: /toomanyrequests|too many requests|rate limit/i,
    error: (message) => new RemoteError(message, { code: "rate-limited" }),
  },
  {
    words:
      /access denied|(?<!permission )denied:|unauthorized|not authorized|authentication required|login required|no basic auth credentials|invalid username\/password|access to the resource is denied|incorrect username or password|status: 403|: 403 Forbidden|status: 401/i,
    error: (message) => new CredentialError(message),
  },
  {
    words: /no matching manifest|does not match the specified platform|no image found in .* for/i,
    error: (message) => new HostError(`${message}; the image is not made for this machine`, FINAL),
  },
  {
    words:
      /manifest unknown|manifest for .* not found|repository name not known|name unknown|no such image|image not known|reading manifest .*: (not found|404)/i,
    error: (message) => new NotFoundError(message),
  },
  {
    words: GONE,
    error: (message) => new NotFoundError(message),
  },
  {
    words: /name .* is already in use/i,
    error: (message) => new ConflictError(message, { retryable: true }),
  },
  {
    words: PORT_TAKEN,
    error: (message) => new HostError(`${message}; another program has this port`),
  },
  {
    // A firewall that was reloaded has taken the engine's rules away, or another one had the lock.
    words: /iptables|nftables|programming external connectivity|set up container networking/i,
    error: (message, { program }) =>
      new HostError(
        `${message}; something else has changed the firewall or the network: restart the ${program} service, which sets them up again`,
      ),
  },
  {
    words:
      /cannot allocate memory|too many open files|resource temporarily unavailable|no (available|more) .*address|device or resource busy/i,
    error: (message) =>
      new HostError(`${message}; this machine lacks memory, descriptors, processes or addresses`),
  },
  {
    words: NOT_EXECUTABLE,
    error: (message, { said, spec }) => {
      const isRefused = /permission denied/i.test(said) && choosesUser(spec);
      return new DeployError(
        "verify",
        `${message}; the image has no such program, or it cannot run on this machine: see its CMD and ENTRYPOINT, --cmd and --entrypoint`,
        {
          fault:
            choosesProgram(spec) || hidesProgram(spec, said) || isRefused ? "operator" : "release",
        },
      );
    },
  },
  {
    words: NO_SUCH_USER,
    error: (message, { spec }) =>
      new DeployError(
        "verify",
        `${message}; the image does not know the user: see its USER, --user`,
        {
          fault: choosesUser(spec) ? "operator" : "release",
        },
      ),
  },
  {
    words: /unknown (shorthand )?flag|unknown option|flag needs an argument|invalid argument/i,
    error: (message, { program }) =>
      new ConfigError(`${message}; ${program} does not know an option after --`),
  },
  {
    words:
      /i\/o timeout|no such host|connection refused|connection reset|network is unreachable|TLS handshake timeout|unexpected EOF|context deadline exceeded|server misbehaving|50[0234] /i,
    error: (message) => new RemoteError(message),
  },
];

const MAX_SAID = 500;

/**
 * Explains why an engine's command failed, and what can be done.
 *
 * @param failed the command, and what the engine said.
 * @returns the error. The fault is the release's only if its image cannot be executed: unknown words prove nothing.
 */
export function engineFailure(failed: FailedCommand): DewyError {
  const { program, action, exitCode } = failed;
  const said = tidy(failed.said);
  const how = exitCode === null ? "a signal" : `exit code ${exitCode}`;
  const message = `Cannot ${action}: ${said === "" ? `${program} ended with ${how}` : `${program} says: ${said}`}`;
  const meaning = MEANINGS.find(({ words }) => words.test(failed.said));
  return meaning?.error(message, failed) ?? new HostError(message);
}

/** A program that the operator names can be missing from an image that is in order. */
function choosesProgram(spec: ContainerSpec | undefined): boolean {
  if (spec === undefined) return false;
  return spec.command.length > 0 || spec.args.some((word) => /^--entrypoint(=|$)/.test(word));
}

const PROGRAM = /exec: "([^"\n]+)"|\bexec ([^\s":]+):|executable file `([^`\n]+)`/;
const MOUNT = /^(?:-v|--volume|--mount|--tmpfs)=?/;

/** A mount over a directory hides the program that the image has in it. */
function hidesProgram(spec: ContainerSpec | undefined, said: string): boolean {
  const program = PROGRAM.exec(said)?.slice(1).find(Boolean);
  const { args = [] } = spec ?? {};
  const mounts = args.flatMap((word, index) =>
    MOUNT.test(word) ? [word.replace(MOUNT, "") || (args[index + 1] ?? "")] : [],
  );
  return mounts
    .flatMap((mount) => mount.split(/[:,=]/))
    .some((path) => path.length > 1 && `${program}/`.startsWith(`${path.replace(/\/$/, "")}/`));
}

/** Either the operator or dewy: the image's own user needs no option. */
function choosesUser(spec: ContainerSpec | undefined): boolean {
  if (spec === undefined) return false;
  return (
    spec.user !== undefined || spec.args.some((word) => /^(-u|--(user|group-add)(=|$))/.test(word))
  );
}

/**
 * @param said what an engine wrote to standard error.
 * @returns whether it says that there is no such container or image.
 */
export function saysAbsent(said: string): boolean {
  return GONE.test(said) || /no such image|image not known/i.test(said);
}

/**
 * @param said what an engine wrote to standard error.
 * @returns whether it keeps an image because something uses it.
 */
export function saysInUse(said: string): boolean {
  return /conflict: unable to|is using|image used by|image is in use|in use by a container|must be forced/i.test(
    said,
  );
}

/**
 * @param said what an engine wrote to standard error.
 * @returns whether a port that it chose was taken before it could use it.
 */
export function saysPortTaken(said: string): boolean {
  return PORT_TAKEN.test(said);
}

/** The engine's own words without the frame around them, on one line, without its warnings. */
function tidy(said: string): string {
  const lines = said
    .split("\n")
    .filter((line) => !/^time="[^"]*" level=(warning|error|info)/.test(line))
    .filter(
      (line) =>
        !/^(Usage:|Run '|See '|WARNING:|Error: failed to start containers:)/.test(line.trim()),
    )
    .map((line) => line.replace(/^(docker: |error response from daemon: |error:? )+/i, "").trim());
  return redactText(lines.filter((line) => line !== "").join(" ")).slice(0, MAX_SAID);
}
