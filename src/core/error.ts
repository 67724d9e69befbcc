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
  | "archive"
  | "host"
  | "deploy"
  | "aborted";

/**
 * Where the cause of a failure lies: in the release itself, in this machine, in what the operator configured, or in a
 * remote service and the way to it. Only a fault of the release marks a version as bad.
 */
export type Fault = "release" | "host" | "operator" | "remote";

/** What every dewy error can carry besides its message. */
export interface DewyErrorOptions {
  /** The error that led to this one; kept for logs, never needed to understand the message. */
  cause?: unknown;
  /** A more specific code than the class's own. */
  code?: ErrorCode;
  /** Whether trying the same thing again later can succeed. Says nothing about whose fault it is. */
  retryable?: boolean;
  /** Where the cause lies, if not where the class says. */
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
  /** The name of the class, also where a minifier has renamed it. */
  override readonly name: string = "DewyError";
  /** Stable identifier of the kind of failure. */
  readonly code: ErrorCode;
  /** Whether trying the same thing again later can succeed. */
  readonly retryable: boolean;
  /** Where the cause lies. Defaults to that of the class: `host`, unless the class says otherwise. */
  readonly fault: Fault;

  /**
   * Makes the error.
   *
   * @param message action, value, state, and what to do next; never a secret.
   * @param options the code, the cause, whether a retry can help, and whose fault it is.
   */
  constructor(message: string, options: DewyErrorOptions & { code: ErrorCode }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.retryable = options.retryable ?? false;
    this.fault = options.fault ?? "host";
  }
}

/** A flag, URL, option or environment variable that cannot be used. Exit code 1; code `config` or `locked`. */
export class ConfigError extends DewyError {
  /** Always `ConfigError`. */
  override readonly name: string = "ConfigError";

  /**
   * Makes the error.
   *
   * @param message names the flag or the part of the URL, and what would be right.
   * @param options cause and a more specific code.
   */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "config", fault: "operator", ...options });
  }
}

/** Credentials that are missing, malformed or refused (401, 403). Exit code 2. */
export class CredentialError extends DewyError {
  /** Always `CredentialError`. */
  override readonly name: string = "CredentialError";

  /**
   * Makes the error.
   *
   * @param message which credential for which host, and where dewy looked for it.
   * @param options cause and retryability.
   */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "credential", fault: "operator", ...options });
  }
}

/** A repository, bucket, release or object that is not there (404). Exit code 2. */
export class NotFoundError extends DewyError {
  /** Always `NotFoundError`. */
  override readonly name: string = "NotFoundError";

  /**
   * Makes the error.
   *
   * @param message what was looked for, and where.
   * @param options cause and retryability.
   */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "not-found", fault: "remote", ...options });
  }
}

/** A conditional write that somebody else won (409, 412). Exit code 2. */
export class ConflictError extends DewyError {
  /** Always `ConflictError`. */
  override readonly name: string = "ConflictError";

  /**
   * Makes the error.
   *
   * @param message what was to be written, and who or what was there first.
   * @param options cause and retryability.
   */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "conflict", fault: "remote", ...options });
  }
}

/** What a {@link RemoteError} knows about the call that failed. */
export interface RemoteErrorOptions extends DewyErrorOptions {
  /** The HTTP method. */
  method?: string;
  /** The address, already redacted: only allow-listed query keys have values. */
  url?: string;
  /** The HTTP status; absent when no answer came. */
  status?: number;
  /** Milliseconds the server asked us to wait before the next call. */
  retryAfterMs?: number;
}

/** A remote call that failed: no answer, a server error, a limit. Exit code 2. */
export class RemoteError extends DewyError {
  /** Always `RemoteError`. */
  override readonly name: string = "RemoteError";

  /** The HTTP method. */
  readonly method: string | undefined;
  /** The address, redacted. */
  readonly url: string | undefined;
  /** The HTTP status; `undefined` when no answer came. */
  readonly status: number | undefined;
  /** Milliseconds the server asked us to wait before the next call. */
  readonly retryAfterMs: number | undefined;

  /**
   * Makes the error.
   *
   * @param message the method, the redacted address, the status and what to do next.
   * @param options the parts of the call; `retryable` is true unless told.
   */
  constructor(message: string, options: RemoteErrorOptions = {}) {
    super(message, { code: "remote", fault: "remote", retryable: true, ...options });
    this.method = options.method;
    this.url = options.url;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Bytes that are not what the registry said they would be. Exit code 2. */
export class IntegrityError extends DewyError {
  /** Always `IntegrityError`. */
  override readonly name: string = "IntegrityError";

  /**
   * Makes the error.
   *
   * @param message which artifact, what was expected and what came.
   * @param options cause and retryability; a download that was cut short is worth a retry.
   */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "integrity", fault: "remote", retryable: true, ...options });
  }
}

/** An archive that cannot or must not be extracted. Exit code 3. */
export class ArchiveError extends DewyError {
  /** Always `ArchiveError`. */
  override readonly name: string = "ArchiveError";

  /**
   * Makes the error.
   *
   * @param message which archive, which entry, and which rule it breaks.
   * @param options cause and retryability.
   */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "archive", fault: "release", ...options });
  }
}

/** The file system, a process or a socket of this machine refused. Exit code 3. */
export class HostError extends DewyError {
  /** Always `HostError`. */
  override readonly name: string = "HostError";

  /**
   * Makes the error.
   *
   * @param message what was tried on which path, and the system's reason.
   * @param options cause and retryability; a full disk may be emptied, so true unless told.
   */
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

/** A deploy that failed in one of its phases. Exit code 4, or that of its cause. */
export class DeployError extends DewyError {
  /** Always `DeployError`. */
  override readonly name: string = "DeployError";

  /** The phase that failed. */
  readonly phase: DeployPhase;

  /**
   * Makes the error.
   *
   * @param phase the phase that failed.
   * @param message what happened to which version, and what runs now.
   * @param options cause and retryability; the fault defaults to that of the cause, and to `host` without one.
   */
  constructor(phase: DeployPhase, message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "deploy", fault: faultOf(options.cause), ...options });
    this.phase = phase;
  }
}

/** Work that the caller's `AbortSignal` ended. Not a failure; exit code 0 when the operator asked for it. */
export class AbortedError extends DewyError {
  /** Always `AbortedError`. */
  override readonly name: string = "AbortedError";

  /**
   * Makes the error.
   *
   * @param message what was going on.
   * @param options the signal's reason as the cause.
   */
  constructor(message: string, options: DewyErrorOptions = {}) {
    super(message, { code: "aborted", fault: "operator", ...options });
  }
}

/**
 * Whose fault a failure is.
 *
 * @param error anything that was thrown.
 * @returns its {@link DewyError.fault}; `host` for an error that dewy did not expect, since nothing proves otherwise.
 */
export function faultOf(error: unknown): Fault {
  return error instanceof DewyError ? error.fault : "host";
}
