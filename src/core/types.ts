/**
 * The nouns of dewy, as plain data.
 *
 * @module
 */

/** A version, taken apart. Build metadata is the slot. */
export interface Version {
  /** The tag as the registry spells it. */
  original: string;
  /** The optional prefix. */
  v: "" | "v";
  /** Major, minor and patch, or the segments of a CalVer format, in order. */
  segments: readonly number[];
  /** The part after `-`, without it; empty when there is none. */
  preRelease: string;
  /** The part after `+`, without it; empty when there is none. */
  buildMetadata: string;
}

/** A machine, as artifacts are named after it. Node's and Go's spellings are both understood. */
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
  /** The registry's own identifier of the release. */
  id: string;
  /** The tag as the registry spells it. */
  tag: string;
  /** The tag, taken apart. */
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
  /** Where {@link Registry.open} gets it: `ghr://…`, `s3://…`, `file://…`, `https://…`. */
  url: string;
  /** Bytes, where the registry says so. */
  size?: number;
  /** `<algorithm>:<lower-case hex>`, where the registry states one: `sha256:…`, `md5:…`, `crc64nvme:…`. */
  digest?: string;
  /** Opaque; differs when the bytes behind the same name were replaced (asset id, ETag, time and size). */
  revision?: string;
}

/** Why nothing can be deployed. */
export type NoneReason =
  | "empty" // the registry lists nothing at all
  | "no-version" // nothing listed is a version
  | "filtered" // versions are there, but none passes pre-release, slot, constraint or exclude
  | "artifact-missing"; // the newest version has no file for this platform, and the grace period is over

/** A version that can be deployed. */
export interface ReadyResolution {
  /** Tells it from the other answers. */
  kind: "ready";
  /** The newest version. */
  release: Release;
  /** Its file for this platform. */
  artifact: Artifact;
  /** What an operator should know about the choice of the artifact, one sentence each. The default is nothing. */
  notes?: readonly string[];
  /**
   * Whether `artifact=` names this very file, so that one that is not an archive keeps its name in the release. The
   * default is false: it is placed under a name without version and platform.
   */
  isNamed?: boolean;
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
      /** When it was published. */
      since?: Date;
      /** What its files lack, if waiting alone may not help. */
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

/** One tag that was looked at, and what became of it. */
export interface ExplainedTag {
  /** The tag as the registry spells it. */
  tag: string;
  /** The tag was chosen. */
  chosen: boolean;
  /** Why it was chosen, or why not. */
  reason: string;
}

/** One file of the newest release, and what became of it. */
export interface ExplainedArtifact {
  /** The file name. */
  name: string;
  /** The file was chosen. */
  chosen: boolean;
  /** Why it was chosen, or why not. */
  reason: string;
}

/** Everything that a registry looked at to find its answer. */
export interface Candidates {
  /** The registry's URL, redacted. */
  registry: string;
  /** The platform that was asked for, in Go's spelling. */
  platform: Platform;
  /** Every listed tag, newest first; tags that are no version come last. */
  tags: readonly ExplainedTag[];
  /** The files of the newest matching release, in the registry's order. */
  artifacts: readonly ExplainedArtifact[];
}

/** Everything behind an answer: every candidate, and the reason why it was chosen or skipped. */
export interface Explanation extends Candidates {
  /** The answer itself. */
  resolution: Resolution;
}

/** A deploy, as it is reported back to a registry. */
export interface Deployment {
  /** {@link Release.id}. */
  id: string;
  /** {@link Release.tag}. */
  tag: string;
  /** `server`, `assets` or `container`. */
  command: string;
  /** The name of this machine. */
  host: string;
  /** When it was deployed. */
  at: Date;
  /** What went wrong, when it did. */
  error?: string;
}

/** Options of {@link Registry.resolve}. */
export interface ResolveOptions {
  /** Tags that must not be chosen: known to be bad, or still pending. */
  exclude?: Iterable<string>;
  /** The machine to choose for, where {@link Registry.anyPlatform} is true. The default is that of the registry. */
  platform?: Platform;
  /**
   * The exact file name of the artifact to choose, where {@link Registry.anyPlatform} is true. Defaults to the
   * `artifact` of the registry's URL, and without one to the artifact for the platform.
   */
  artifact?: string;
  /**
   * How old the listing behind the answer may be, in milliseconds, where {@link Registry.anyPlatform} is true. By default,
   * the registry lists its tags again.
   */
  maxAgeMs?: number;
  /** Whether the answer carries an `explanation` of every candidate. The default is false. */
  explain?: boolean;
  /** Ends the call. */
  signal?: AbortSignal;
}

/** Options of {@link Registry.open}. */
export interface OpenOptions {
  /** The first byte wanted, to resume an interrupted download. The default is 0. */
  offset?: number;
  /**
   * What identifies the bytes before `offset`: the value that `onValidator` received for them. If the registry has other
   * bytes by now, opening fails with an `IntegrityError`. Without it, nothing checks that the two parts belong together.
   */
  validator?: string;
  /**
   * Called before the stream is returned, with what identifies its bytes (over HTTP, a strong `ETag` or a date that can
   * be used in `If-Range`), or `undefined` if nothing does.
   */
  onValidator?: (validator: string | undefined) => void;
  /** Ends the call and the stream. */
  signal?: AbortSignal;
}

/** A place where releases are published. */
export interface Registry {
  /** Whether one listing answers for every machine: `platform` and `maxAgeMs` of {@link ResolveOptions} are heeded. */
  readonly anyPlatform?: boolean;
  /**
   * Finds the newest version for this platform. Waiting and "nothing" are values; refused credentials,
   * unknown repositories and network failures throw.
   */
  resolve(options?: ResolveOptions): Promise<Resolution>;
  /** Streams the bytes of an artifact, from `offset` on. */
  open(artifact: Artifact, options?: OpenOptions): Promise<ReadableStream<Uint8Array>>;
  /**
   * Reads an artifact and computes its SHA-256, as `sha256:<hex>`. Only registries that need no download for it have this
   * method.
   */
  digest?(artifact: Artifact, options?: { signal?: AbortSignal }): Promise<string>;
  /** Asks for one tag directly; `false` only when the registry says that it is gone. */
  exists?(tag: string, options?: { signal?: AbortSignal }): Promise<boolean>;
  /** Leaves an audit record of a deploy. */
  report?(deployment: Deployment, options?: { signal?: AbortSignal }): Promise<void>;
}
