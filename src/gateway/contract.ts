/**
 * The TypeScript form of `dewy.RegistryService`: requests, answers and the logic between them.
 *
 * @module
 */

/** A request for the version that a machine should run. */
export interface VersionQuestion {
  /** The operating system in Go's spelling: `linux`, `darwin`, `windows`. */
  os: string;
  /** The architecture in Go's spelling: `amd64`, `arm64`. */
  arch: string;
  /** The file name of the requested artifact; `undefined` for the one that fits `os` and `arch`. */
  artifact: string | undefined;
  /** The IP address of the machine or of a proxy in between; `undefined` if the runtime does not know it. */
  address: string | undefined;
  /** The metadata of the call. */
  headers: Headers;
  /** `<scheme>://<host>` under which the machine reached the server; `undefined` if it did not send a host. */
  origin: string | undefined;
}

/** The version that a machine should run. */
export interface VersionAnswer {
  /** The server's own identifier of the release, which reports repeat. Defaults to the tag. */
  id?: string;
  /** The version, such as `v1.2.3`. */
  tag: string;
  /**
   * The artifact: `ghr://…`, `s3://…`, `gs://…` or `https://…`, with `#sha256=<hex>` if the digest is known. Without a URL
   * the version is not complete yet, and machines wait for it.
   */
  artifactUrl?: string;
  /** The release's small files, such as signatures and checksums, in the form of `artifactUrl`. Defaults to none. */
  fileUrls?: readonly string[];
  /** When the version was published. */
  createdAt?: Date | undefined;
}

/** A version as {@link RegistryLogic.watch} announces it: the same `id` and `tag` as in the answer. */
export type AnnouncedVersion = Pick<VersionAnswer, "id" | "tag">;

/** The result of a deploy. Control characters are removed, and long texts are cut. */
export interface DeployReport {
  /** {@link VersionAnswer.id} of the deployed version. */
  id: string;
  /** The version. */
  tag: string;
  /** The command that deployed it: `server`, `assets` or `container`. */
  command: string;
  /** The error; `undefined` if the deploy succeeded. */
  error: string | undefined;
  /** The IP address that sent the report; `undefined` if the runtime does not know it. */
  address: string | undefined;
}

/** The logic of a registry that chooses versions itself. */
export interface RegistryLogic {
  /**
   * Chooses the version for a machine.
   *
   * @param question The machine and what it requests.
   * @param signal Aborted when the machine disconnects, its deadline passes, or the server stops.
   * @returns The version; `undefined` if there is none. A `DewyError` that is thrown is sent with its message and the
   *   matching gRPC code; any other error is sent as internal, without its message.
   */
  current(
    question: VersionQuestion,
    signal: AbortSignal,
  ): Promise<VersionAnswer | undefined> | VersionAnswer | undefined;
  /**
   * Receives the result of a deploy. Without this method, reports are accepted and dropped.
   *
   * @param report The result.
   * @param signal As for `current`.
   */
  report?(report: DeployReport, signal: AbortSignal): Promise<void> | void;
  /**
   * Yields the version of a machine, and again whenever it changes; `undefined` for none. Machines then ask `current`
   * at once, instead of at their next poll. Without this method, they only poll.
   *
   * @param question The machine; `artifact` is `undefined`.
   * @param signal Aborted when the machine disconnects, the stream has become old, or the server stops.
   */
  watch?(
    question: VersionQuestion,
    signal: AbortSignal,
  ): AsyncIterable<AnnouncedVersion | undefined>;
}
