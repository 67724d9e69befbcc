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
import type { ContainerSpec, EngineName } from "./engine.ts";

interface FailedCommand {
  program: EngineName;
  /** Such as `pull ghcr.io/o/r@sha256:…`. */
  action: string;
  /** `null` if a signal ended the program. */
  exitCode: number | null;
  output: string;
  /** The container to create or start. */
  spec?: ContainerSpec;
}

interface KnownFailure {
  pattern: RegExp;
  error(message: string, failed: FailedCommand): DewyError;
}

/** A retry would fail the same way. */
const FINAL = { retryable: false };

/** Includes a removal that another process has started. */
const ABSENT =
  /no such (container|object)|no container with (name or )?id|removal of container .* is already in progress/i;
const PORT_TAKEN =
  /port is already allocated|address already in use|failed to bind (host )?port|bind for .* failed/i;

/**
 * What runc, crun and Podman print if the container's program cannot be executed. The patterns must
 * not match a missing runtime, shim or hook.
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

/** The first match wins. */
const KNOWN_FAILURES: readonly KnownFailure[] = [
  {
    pattern: /permission denied while trying to connect|dial unix .*: connect: permission denied/i,
    error: (message, { program }) =>
      new HostError(
        `${message}; this user is not allowed to use ${program}: add it to the group of its socket ("docker"), or run dewy as root`,
      ),
  },
  {
    pattern:
      /cannot connect to (the docker daemon|podman)|unable to connect to podman|error during connect|is the docker daemon running/i,
    error: (message, { program }) =>
      new HostError(`${message}; start it, for example: systemctl start ${program}`),
  },
  {
    pattern: /server gave HTTP response to HTTPS client/i,
    error: (message) =>
      new HostError(
        `${message}; the registry speaks plain HTTP, which the Docker service allows on loopback only: add its host to "insecure-registries" in /etc/docker/daemon.json and restart Docker`,
        FINAL,
      ),
  },
  {
    pattern: /x509:|certificate signed by unknown authority|failed to verify certificate/i,
    error: (message, { program }) =>
      new HostError(
        `${message}; the engine does not trust the registry's certificate: put the certificate of its authority into ${program === "docker" ? "/etc/docker/certs.d/<registry host>/ca.crt" : "/etc/containers/certs.d/<registry host>/ca.crt"}`,
        FINAL,
      ),
  },
  {
    pattern: /no space left on device|disk quota exceeded/i,
    error: (message) => new HostError(`${message}; make room on the engine's disk`),
  },
  {
    pattern: /toomanyrequests|too many requests|rate limit/i,
    error: (message) => new RemoteError(message, { code: "rate-limited" }),
  },
  {
    pattern:
      /access denied|(?<!permission )denied:|unauthorized|not authorized|authentication required|login required|no basic auth credentials|invalid username\/password|access to the resource is denied|incorrect username or password|status: 403|: 403 Forbidden|status: 401/i,
    error: (message) => new CredentialError(message),
  },
  {
    pattern: /no matching manifest|does not match the specified platform|no image found in .* for/i,
    error: (message) =>
      new HostError(`${message}; the image does not support this platform`, FINAL),
  },
  {
    pattern:
      /manifest unknown|manifest for .* not found|repository name not known|name unknown|no such image|image not known|reading manifest .*: (not found|404)/i,
    error: (message) => new NotFoundError(message),
  },
  {
    pattern: ABSENT,
    error: (message) => new NotFoundError(message),
  },
  {
    pattern: /name .* is already in use/i,
    error: (message) => new ConflictError(message, { retryable: true }),
  },
  {
    pattern: PORT_TAKEN,
    error: (message) => new HostError(`${message}; another program has this port`),
  },
  {
    // A reload of the firewall removes the engine's rules, and another program may hold the lock.
    pattern: /iptables|nftables|programming external connectivity|set up container networking/i,
    error: (message, { program }) =>
      new HostError(
        `${message}; another program changed the firewall or the network: restart the ${program} service to set them up again`,
      ),
  },
  {
    pattern:
      /cannot allocate memory|too many open files|resource temporarily unavailable|no (available|more) .*address|device or resource busy/i,
    error: (message) =>
      new HostError(`${message}; this machine lacks memory, descriptors, processes or addresses`),
  },
  {
    pattern: NOT_EXECUTABLE,
    error: (message, { output, spec }) => {
      const isRefused = /permission denied/i.test(output) && choosesUser(spec);
      const isChosen = choosesProgram(spec) || hidesProgram(spec, output) || isRefused;
      return new DeployError(
        "verify",
        `${message}; the program is missing from the image or cannot run on this machine: check its CMD and ENTRYPOINT, --cmd and --entrypoint`,
        { fault: isChosen ? "operator" : "release" },
      );
    },
  },
  {
    pattern: NO_SUCH_USER,
    error: (message, { spec }) =>
      new DeployError(
        "verify",
        `${message}; the image has no such user: check its USER and --user`,
        { fault: choosesUser(spec) ? "operator" : "release" },
      ),
  },
  {
    pattern: /unknown (shorthand )?flag|unknown option|flag needs an argument|invalid argument/i,
    error: (message, { program }) =>
      new ConfigError(`${message}; ${program} does not support an option after --`),
  },
  {
    pattern:
      /i\/o timeout|no such host|connection refused|connection reset|network is unreachable|TLS handshake timeout|unexpected EOF|context deadline exceeded|server misbehaving|50[0234] /i,
    error: (message) => new RemoteError(message),
  },
];

const MAX_OUTPUT = 500;

/** Unknown output proves nothing: the fault is the release's only for known failures. */
export function engineFailure(failed: FailedCommand): DewyError {
  const { program, action, exitCode } = failed;
  const output = tidy(failed.output);
  const how = exitCode === null ? "was killed by a signal" : `exited with exit code ${exitCode}`;
  const message = `Cannot ${action}: ${output === "" ? `${program} ${how}` : `${program} says: ${output}`}`;
  const known = KNOWN_FAILURES.find(({ pattern }) => pattern.test(failed.output));
  return known?.error(message, failed) ?? new HostError(message);
}

function choosesProgram(spec: ContainerSpec | undefined): boolean {
  if (spec === undefined) return false;
  return spec.command.length > 0 || spec.args.some((word) => /^--entrypoint(=|$)/.test(word));
}

const PROGRAM = /exec: "([^"\n]+)"|\bexec ([^\s":]+):|executable file `([^`\n]+)`/;
const MOUNT = /^(?:-v|--volume|--mount|--tmpfs)=?/;

/** A mount over a directory hides the image's program in it. */
function hidesProgram(spec: ContainerSpec | undefined, output: string): boolean {
  const program = PROGRAM.exec(output)?.slice(1).find(Boolean);
  const { args = [] } = spec ?? {};
  const mounts = args.flatMap((word, index) =>
    MOUNT.test(word) ? [word.replace(MOUNT, "") || (args[index + 1] ?? "")] : [],
  );
  return mounts
    .flatMap((mount) => mount.split(/[:,=]/))
    .some((path) => path.length > 1 && `${program}/`.startsWith(`${path.replace(/\/$/, "")}/`));
}

/** The operator or dewy, rather than the image. */
function choosesUser(spec: ContainerSpec | undefined): boolean {
  if (spec === undefined) return false;
  return (
    spec.user !== undefined || spec.args.some((word) => /^(-u|--(user|group-add)(=|$))/.test(word))
  );
}

export function saysAbsent(output: string): boolean {
  return ABSENT.test(output) || /no such image|image not known/i.test(output);
}

export function saysInUse(output: string): boolean {
  return /conflict: unable to|is using|image used by|image is in use|in use by a container|must be forced/i.test(
    output,
  );
}

export function saysPortTaken(output: string): boolean {
  return PORT_TAKEN.test(output);
}

/** Returns the engine's message on one line, without prefixes, usage hints and warnings. */
function tidy(output: string): string {
  const lines = output
    .split("\n")
    .filter((line) => !/^time="[^"]*" level=(warning|error|info)/.test(line))
    .filter(
      (line) =>
        !/^(Usage:|Run '|See '|WARNING:|Error: failed to start containers:)/.test(line.trim()),
    )
    .map((line) => line.replace(/^(docker: |error response from daemon: |error:? )+/i, "").trim());
  return redactText(lines.filter((line) => line !== "").join(" ")).slice(0, MAX_OUTPUT);
}
