/** A parsed version. Build metadata is the slot. */
export interface Version {
  /** The tag as the registry spells it. */
  original: string;
  /** The optional prefix. */
  v: "" | "v";
  /** Major, minor and patch, or the segments of a CalVer format, in order. */
  segments: readonly number[];
  /** The part after `-`; empty if absent. */
  preRelease: string;
  /** The part after `+`; empty if absent. */
  buildMetadata: string;
}

/** The machine that artifacts are chosen for, in Node's or Go's spelling. */
export interface Platform {
  /** `linux`, `darwin`, `windows` (or Node's `win32`), … */
  os: string;
  /** `amd64` (or Node's `x64`), `arm64`, `arm`, `386`, … */
  arch: string;
  /** The variant of an architecture, such as `v7` of `arm`. */
  variant?: string;
  /** The C library of a Linux machine. */
  libc?: "glibc" | "musl";
}

/** A published version. */
export interface Release {
  /** The registry's identifier of the release. */
  id: string;
  /** The tag as the registry spells it. */
  tag: string;
  /** The parsed tag. */
  version: Version;
  /** When it was published, where the registry says so. */
  createdAt?: Date;
  /** The build metadata of the tag, where it has one. */
  slot?: string;
}

/** A file of a release. */
export interface Artifact {
  /** The file name. */
  name: string;
  /** The URL for {@link Registry.open}: `ghr://…`, `s3://…`, `file://…`, `https://…`. */
  url: string;
  /** Size in bytes, if the registry states it. */
  size?: number;
  /** `<algorithm>:<lower-case hex>`, if the registry states one: `sha256:…`, `md5:…`, `crc64nvme:…`. */
  digest?: string;
  /** Opaque; changes when the bytes behind the name are replaced (asset id, ETag, time and size). */
  revision?: string;
}

/** Why nothing can be deployed. */
export type NoneReason =
  | "empty" // the registry lists nothing at all
  | "no-version" // no listed tag is a version
  | "filtered" // versions exist, but none passes pre-release, slot, constraint or exclude
  | "unknown-tag" // the registry does not have the requested tag
  | "unchanged" // nothing is newer than `since`
  | "artifact-missing"; // the newest version has no artifact for this platform after the grace period

/** A version that can be deployed. */
export interface ReadyResolution {
  /** The discriminator of {@link Resolution}. */
  kind: "ready";
  /** The newest version. */
  release: Release;
  /** Its artifact for this platform. */
  artifact: Artifact;
  /** Remarks on the choice of the artifact, one sentence each. Defaults to none. */
  notes?: readonly string[];
  /**
   * Whether `artifact=` names this exact file: a bare file then keeps its name in the release directory. Defaults to
   * false: it is placed under a name without version and platform.
   */
  isNamed?: boolean;
  /** All files of the release, the artifact included, where the registry lists them: signatures and checksums. */
  files?: readonly Artifact[];
  /** Every candidate, chosen or skipped. Only with `explain: true`. */
  explanation?: Candidates;
}

/** The answer to "what is the newest version for this machine?". */
export type Resolution =
  | ReadyResolution
  | {
      kind: "pending";
      tag: string;
      reason: "artifact-missing";
      /** The time of publication. */
      since?: Date;
      /** The missing parts, if waiting alone may not help. */
      message?: string;
      /** Every candidate, chosen or skipped. Only with `explain: true`. */
      explanation?: Candidates;
    }
  | {
      kind: "none";
      reason: NoneReason;
      message: string;
      tag?: string;
      /** Every candidate, chosen or skipped. Only with `explain: true`. */
      explanation?: Candidates;
    };

/** A listed tag, and why it was chosen or skipped. */
export interface ExplainedTag {
  /** The tag as the registry spells it. */
  tag: string;
  /** Whether the tag was chosen. */
  chosen: boolean;
  /** Why it was chosen or skipped. */
  reason: string;
}

/** A file of the newest release, and why it was chosen or skipped. */
export interface ExplainedArtifact {
  /** The file name. */
  name: string;
  /** Whether the file was chosen. */
  chosen: boolean;
  /** Why it was chosen or skipped. */
  reason: string;
}

/** The candidates for an answer, and why each was chosen or skipped. */
export interface Candidates {
  /** The registry's URL, redacted. */
  registry: string;
  /** The requested platform, in Go's spelling. */
  platform: Platform;
  /** All listed tags, newest first; tags that are not versions come last. */
  tags: readonly ExplainedTag[];
  /** The files of the newest matching release, in the registry's order. */
  artifacts: readonly ExplainedArtifact[];
}

/** A resolution with all candidates and the reason for each decision. */
export interface Explanation extends Candidates {
  /** The resolution. */
  resolution: Resolution;
}

/** The report of a deploy to a registry. */
export interface Deployment {
  /** {@link Release.id}. */
  id: string;
  /** {@link Release.tag}. */
  tag: string;
  /** `server`, `assets` or `container`. */
  command: string;
  /** The host name of this machine. */
  host: string;
  /** The time of the deploy. */
  at: Date;
  /**
   * The nanoseconds below the millisecond of `at`, 0 to 999,999. The name of an audit record consists of host, command
   * and time, and an existing one counts as this one: dewy sets them at random, so that deploys in the same millisecond
   * leave a record each. Defaults to 0.
   */
  nanoseconds?: number;
  /** The error of a failed deploy. */
  error?: string;
}

/** Options of {@link Registry.resolve}. */
export interface ResolveOptions {
  /** Tags to skip: marked bad, or still pending. */
  exclude?: Iterable<string>;
  /**
   * The only tag to look at, exactly as the registry spells it; the options that choose a version do not apply. "None"
   * with the reason `unknown-tag` if the registry does not have it.
   */
  tag?: string;
  /** The platform, if {@link Registry.anyPlatform} is true. Defaults to that of the registry. */
  platform?: Platform;
  /**
   * The exact file name of the artifact, if {@link Registry.anyPlatform} is true. Defaults to the
   * `artifact` of the registry's URL, and without one to the artifact for the platform.
   */
  artifact?: string;
  /**
   * The maximum age of a reused listing in milliseconds, if {@link Registry.anyPlatform} is true. Defaults to 0: the
   * registry lists its tags again.
   */
  maxAgeMs?: number;
  /** Whether the answer carries an `explanation` of every candidate. Defaults to false. */
  explain?: boolean;
  /**
   * The version that you have. If none is newer, the answer is "none" with the reason `unchanged` and this tag, and no release
   * is read. A
   * registry that chooses the version itself (`grpc://`, `https://`) may also choose an older one, which is not `unchanged`.
   * Does not apply to `tag`. Defaults to none.
   */
  since?: string;
  /**
   * Whether no other question to this registry will follow, as in `latest`: the registry then reads as little as it can
   * instead of what later polls can reuse. The answer is the same. Defaults to false.
   */
  once?: boolean;
  /** Called for each tag of the listing, in any order and possibly more than once, if the registry lists its tags. */
  onTag?: (tag: string) => void;
  /** Aborts the call. */
  signal?: AbortSignal;
}

/** A version that a registry offers. */
export interface ListedVersion {
  /** The tag as the registry spells it. */
  tag: string;
  /** The parsed tag. */
  version: Version;
  /** Whether the version is a pre-release, or the registry marks it as one. */
  preRelease: boolean;
  /** When it was published: GitHub's date, or that of the newest file. Image registries have none. */
  publishedAt?: Date;
  /** The release notes, in Markdown. Only GitHub has them. */
  notes?: string;
  /** The web page of the release. Only GitHub has one. */
  url?: string;
}

/** Options of {@link Registry.versions}. */
export interface VersionsOptions {
  /** Tags to leave out. */
  exclude?: Iterable<string>;
  /** Aborts the listing. */
  signal?: AbortSignal;
}

/** Options of {@link Registry.open}. */
export interface OpenOptions {
  /** The offset of the first byte, to resume an interrupted download. Defaults to 0. */
  offset?: number;
  /**
   * The value that `onValidator` received for the bytes before `offset`. If the artifact has changed since, the call
   * fails with an `IntegrityError`. Without it, nothing checks that the two parts belong together.
   */
  validator?: string;
  /**
   * Called before the stream is returned with an identifier of its bytes (over HTTP, a strong `ETag` or a date that can
   * be used in `If-Range`), or `undefined` without one.
   */
  onValidator?: (validator: string | undefined) => void;
  /** Aborts the call and the stream. */
  signal?: AbortSignal;
}

/** An opened registry. */
export interface Registry {
  /** Whether one listing answers for all platforms; if so, it honours `platform`, `artifact` and `maxAgeMs`. */
  readonly anyPlatform?: boolean;
  /**
   * Finds the newest version for this platform. "Pending" and "none" are values; rejected credentials, unknown
   * repositories and network failures throw.
   */
  resolve(options?: ResolveOptions): Promise<Resolution>;
  /**
   * Lists the versions that the options allow, newest first. What is known about one is read when you get to it.
   */
  versions?(options?: VersionsOptions): AsyncIterable<ListedVersion>;
  /** Streams an artifact, starting at `offset`. */
  open(artifact: Artifact, options?: OpenOptions): Promise<ReadableStream<Uint8Array>>;
  /** Computes the SHA-256 of an artifact, as `sha256:<hex>`. Present only if it needs no download. */
  digest?(artifact: Artifact, options?: { signal?: AbortSignal }): Promise<string>;
  /**
   * Returns an address at which any client can read the artifact for some minutes without credentials; `undefined` if there
   * is none.
   */
  link?(artifact: Artifact, options?: { signal?: AbortSignal }): Promise<string | undefined>;
  /**
   * Looks up one tag; `false` only if the registry states that it is gone. Without this method, dewy takes a live tag
   * that is not listed any more for gone, and may deploy an older one.
   */
  exists?(tag: string, options?: { signal?: AbortSignal }): Promise<boolean>;
  /**
   * Writes an audit record of a deploy, or nothing if the record exists already. Rejects with an error that is not
   * retryable if the registry will never take it, such as for a missing permission.
   */
  report?(deployment: Deployment, options?: { signal?: AbortSignal }): Promise<void>;
  /**
   * Calls `onChange` whenever the next poll may find another version, until the signal is aborted. A hint: it may be early,
   * late or missing, so poll as well. Never rejects; what fails is tried again with backoff.
   */
  watch?(options: { onChange: () => void; signal: AbortSignal }): Promise<void>;
  /** Later answers are not older than this call. Absent where each answer is that of the moment. */
  refresh?(): void;
}
