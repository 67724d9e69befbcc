/**
 * What a server of `dewy.RegistryService` is asked, and what it answers.
 *
 * @module
 */

/** A machine asks which version it should run. */
export interface VersionQuestion {
  /** The operating system in Go's spelling: `linux`, `darwin`, `windows`. */
  os: string;
  /** The architecture in Go's spelling: `amd64`, `arm64`. */
  arch: string;
  /** The file name of the artifact it wants; `undefined` for the one that fits `os` and `arch`. */
  artifact: string | undefined;
  /** The IP address it asks from, or that of the proxy in between; `undefined` where the runtime does not say. */
  address: string | undefined;
  /** The metadata of the call. */
  headers: Headers;
  /** `<scheme>://<host>` as the machine reached the server; `undefined` when it does not say. */
  origin: string | undefined;
}

/** The version that a machine should run. */
export interface VersionAnswer {
  /** The server's own identifier of the release; it comes back in a report. The default is the tag. */
  id?: string;
  /** The version, such as `v1.2.3`. */
  tag: string;
  /**
   * Where its artifact is: `ghr://…`, `s3://…`, `gs://…` or `https://…`, with `#sha256=<hex>` where it is known. Without
   * one the version is not complete yet, and machines wait for it.
   */
  artifactUrl?: string;
  /** When it was published. */
  createdAt?: Date;
}

/** What became of a deploy, cleaned of control characters and cut to a sensible length. */
export interface DeployReport {
  /** {@link VersionAnswer.id}. */
  id: string;
  /** The version. */
  tag: string;
  /** The command that deployed it: `server`, `assets` or `container`. */
  command: string;
  /** What went wrong, when it did. */
  error: string | undefined;
  /** The IP address the report came from; `undefined` where the runtime does not say. */
  address: string | undefined;
}

/** The logic of a registry that chooses versions itself. */
export interface RegistryLogic {
  /**
   * Chooses the version for a machine.
   *
   * @param question which machine asks.
   * @param signal aborted when the machine hangs up, its deadline is over, or the server stops.
   * @returns the version; `undefined` when there is none. A `DewyError` becomes the gRPC code that fits it and its
   * message is sent; any other error is told as internal, without its message.
   */
  current(
    question: VersionQuestion,
    signal: AbortSignal,
  ): Promise<VersionAnswer | undefined> | VersionAnswer | undefined;
  /**
   * Hears what became of a deploy. Without it reports are accepted and forgotten.
   *
   * @param report the outcome.
   * @param signal as for `current`.
   */
  report?(report: DeployReport, signal: AbortSignal): Promise<void> | void;
}
