/**
 * The errors dewy throws. Match on {@link DewyError.code}, never on the message.
 *
 * @module
 */

/** The stable, documented codes of every error that dewy throws on purpose. */
export type ErrorCode =
  | "config"
  | "locked"
  | "credential"
  | "not-found"
  | "conflict"
  | "rate-limited"
  | "timeout"
  | "remote"
  | "integrity"
  | "unverified"
  | "archive"
  | "host"
  | "deploy"
  | "aborted";

export const ERROR_CODES: readonly ErrorCode[] = [
  "config",
  "locked",
  "credential",
  "not-found",
  "conflict",
  "rate-limited",
  "timeout",
  "remote",
  "integrity",
  "unverified",
  "archive",
  "host",
  "deploy",
  "aborted",
];

/**
 * Where the cause of a failure lies: the release, this machine, the operator's configuration, or a remote service and
 * the network. Only `release` marks a version as bad.
 */
export type Fault = "release" | "host" | "operator" | "remote";

/** Options of every dewy error. */
export interface DewyErrorOptions {
  /** The error that led to this one. Only for logs: the message is complete without it. */
  cause?: unknown;
  /** A more specific code than the default of the class. */
  code?: ErrorCode;
  /** Whether a later retry can succeed. Independent of the fault. */
  retryable?: boolean;
  /** Where the cause lies. Defaults to the fault of the class. */
  fault?: Fault;
}

/**
 * The base of every error that dewy throws on purpose.
 *
 * @example
 * ```ts
 * import { DewyError, parseRegistryUrl } from "dewy";
 *
 * try {
 *   parseRegistryUrl("ftp://example.com/app");
 * } catch (error) {
 *   if (!(error instanceof DewyError) || error.code !== "config") throw error;
 * }
 * ```
 */
export class DewyError extends Error {
  /** The name of the class, unaffected by minifiers. */
  override readonly name: string = "DewyError";
  /** Stable identifier of the kind of failure. */
  readonly code: ErrorCode;
  /** Whether a later retry can succeed. */
  readonly retryable: boolean;
  /** Where the cause lies. Defaults to `host` for errors without a more specific class. */
  readonly fault: Fault;

  /** The message names action, value, reason, and what to do next; never a secret. */
  constructor(message: string, options: DewyErrorOptions & { code: ErrorCode }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.retryable = options.retryable ?? false;
    this.fault = options.fault ?? "host";
  }
}

/** An invalid flag, URL, option or environment variable. Exit code 1; code `config` or `locked`. */
export class ConfigError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "ConfigError";

  /** The message names the flag or URL part, and a valid value. */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "config", fault: "operator", ...options });
  }
}

/** Missing, malformed or rejected credentials (401, 403). Exit code 2. */
export class CredentialError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "CredentialError";

  /** The message names the credential, the host, and where dewy looked. */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "credential", fault: "operator", ...options });
  }
}

/** A repository, bucket, release or object does not exist (404). Exit code 2. */
export class NotFoundError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "NotFoundError";

  /** The message names the missing object and its location. */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "not-found", fault: "remote", ...options });
  }
}

/**
 * A release that `--verify` does not let pass: a signature, a checksum or an attestation is missing or wrong, or cannot be
 * evaluated now. The version is not marked bad, and is retried. Exit code 2; code `unverified`.
 */
export class VerificationError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "VerificationError";

  /** The message names the file, what is missing or wrong, and how to produce it. */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "unverified", fault: "remote", retryable: true, ...options });
  }
}

/** A conditional write lost to a concurrent one (409, 412). Exit code 2. */
export class ConflictError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "ConflictError";

  /** The message names the object to write, and what exists already. */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "conflict", fault: "remote", ...options });
  }
}

/** Details of a failed call, for {@link RemoteError}. */
export interface RemoteErrorOptions extends DewyErrorOptions {
  /** The HTTP method. */
  method?: string;
  /** The redacted URL: query values are shown only for allow-listed keys. */
  url?: string;
  /** The HTTP status; absent without a response. */
  status?: number;
  /** Milliseconds to wait before the next call, as requested by the server. */
  retryAfterMs?: number;
}

/** A failed remote call: no response, a server error or a rate limit. Retryable by default. Exit code 2. */
export class RemoteError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "RemoteError";

  /** The HTTP method. */
  readonly method: string | undefined;
  /** The redacted URL. */
  readonly url: string | undefined;
  /** The HTTP status; `undefined` without a response. */
  readonly status: number | undefined;
  /** Milliseconds to wait before the next call, as requested by the server. */
  readonly retryAfterMs: number | undefined;

  /** The message names the call, its status and what to do next. */
  constructor(message: string, options: RemoteErrorOptions = {}) {
    super(message, { code: "remote", fault: "remote", retryable: true, ...options });
    this.method = options.method;
    this.url = options.url;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Bytes that differ from what the registry stated, or a truncated download. Retryable by default. Exit code 2. */
export class IntegrityError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "IntegrityError";

  /** The message names the artifact, the expected and the actual value. */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "integrity", fault: "remote", retryable: true, ...options });
  }
}

/** An archive that is broken or unsafe to extract. Exit code 3. */
export class ArchiveError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "ArchiveError";

  /** The message names the archive, the entry and the rule it breaks. */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "archive", fault: "release", ...options });
  }
}

/** A failure of this machine: file system, process or socket. Retryable by default. Exit code 3. */
export class HostError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "HostError";

  /** The message names the action, the path and the system's reason. */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "host", retryable: true, ...options });
  }
}

/** The steps of a deploy, in the order in which they run. */
export type DeployPhase =
  | "resolve"
  | "stage"
  | "before"
  | "activate"
  | "verify"
  | "commit"
  | "after";

/** A deploy that failed in one of its phases. Exit code 4, or the exit code of its cause. */
export class DeployError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "DeployError";

  /** The phase that failed. */
  readonly phase: DeployPhase;

  /**
   * Creates the error.
   *
   * @param phase the phase that failed.
   * @param message the version, the failure, and the version that runs now.
   * @param options the fault defaults to that of the cause, and to `host` without a cause.
   */
  constructor(phase: DeployPhase, message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "deploy", fault: faultOf(options.cause), ...options });
    this.phase = phase;
  }
}

/** Work cancelled by the caller's `AbortSignal`. Exit code 0 if the operator stopped dewy. */
export class AbortedError extends DewyError {
  /** The name of the class. */
  override readonly name: string = "AbortedError";

  /** The message names the interrupted action. */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "aborted", fault: "operator", ...options });
  }
}

/** The fault of a thrown value: `host` for an unexpected error, since nothing proves otherwise. */
export function faultOf(error: unknown): Fault {
  return error instanceof DewyError ? error.fault : "host";
}
