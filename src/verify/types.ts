import type { Clock } from "../core/clock.ts";
import type { EventSink } from "../core/event.ts";
import type { GitHubEvidence, ImageEvidence, Proof, VerifyKind } from "../core/proof.ts";
import type { Artifact } from "../core/types.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

/** As `node:crypto` names them. */
export type HashName = "sha256" | "sha384" | "sha512" | "blake2b512";

/** Begins a hash, as `createHash` of `node:crypto` does. */
export type CreateHash = (name: HashName) => {
  update(data: Uint8Array): unknown;
  digest(): Uint8Array;
};

/** A release that is verified: the bytes that will run, and the files beside them. */
export interface Subject {
  tag: string;
  /** The name of the artifact in the release. */
  name: string;
  /** The SHA-256 of the bytes that will run, in lower-case hex. */
  sha256: string;
  /** Other hashes of these bytes, as far as they are known. */
  hashes?: Readonly<Partial<Record<HashName, Bytes>>> | undefined;
  /** In bytes; absent for images. */
  size?: number | undefined;
  /** Streams the bytes that will run, as often as needed; absent for images. */
  open?: (() => ReadableStream<Uint8Array>) | undefined;
  /** All files of the release. */
  files: readonly Artifact[];
  /** What the registry lists, if dewy has chosen the newest version by itself. */
  listing?: ListedTags | undefined;
  /** What the registry has beside an image; absent for files. */
  image?: ImageEvidence | undefined;
  /** Reads one of the files. Rejects if it has more than `maxBytes`. */
  read(file: Artifact, maxBytes: number): Promise<Uint8Array>;
}

export interface ListedTags {
  tags: ReadonlySet<string>;
  /** The CalVer format of the tags; empty for SemVer. */
  calver: string;
}

export interface VerifyContext {
  fetch: typeof globalThis.fetch;
  clock: Clock;
  emit: EventSink;
  /** The hashes of the host: `createHash` of `node:crypto`. Defaults to hashes in JavaScript, which are slow. */
  createHash?: CreateHash | undefined;
  /** Reads a key file of this machine; absent on the edge. */
  readTextFile?: ((path: string) => Promise<string>) | undefined;
  /** The path of `--trusted-root`. */
  trustedRoot?: string | undefined;
  /** The trusted roots of Sigstore as JSON, kept up to date by the host; without it, the one in the package is used. */
  sigstoreRoots?: ((signal: AbortSignal) => Promise<readonly unknown[]>) | undefined;
  /** Where the trust root of Sigstore is cached; absent without a disk. */
  cacheDirectory?: string | undefined;
  /** The trusted roots of GitHub's own instance of Sigstore, as `sigstoreRoots`. */
  githubRoots?: ((signal: AbortSignal) => Promise<readonly unknown[]>) | undefined;
  /** The attestations on GitHub; absent on the edge. */
  github?: GitHubEvidence | undefined;
}

/** One rule of a policy, ready to verify releases. */
export interface Verifier {
  readonly kind: VerifyKind;
  /**
   * Verifies the artifact itself, or bytes that stand for it: a checksum file that lists it.
   *
   * @throws VerificationError if the signature is missing or wrong, or cannot be evaluated now.
   */
  verify(subject: Subject, signal: AbortSignal): Promise<Proof>;
}

export interface VerifierDriver {
  readonly kind: VerifyKind;
  /** The form of the flag: `minisign=KEY`. */
  readonly syntax: string;
  readonly description: string;
  /** Whether the evidence comes from a service of its own: if that does not answer, `auto` does not block. */
  readonly isService?: true;
  /**
   * Reads the value of the rule. Throws a ConfigError that names `--verify`. Key files are read at the first use.
   *
   * @param rules The other rules of the policy, for `index`.
   */
  open(value: string, context: VerifyContext, rules?: readonly Verifier[]): Verifier;
  /**
   * For `auto`: the proofs that the release offers, of any signer; empty if it offers none.
   *
   * @throws VerificationError if what it offers is wrong, or cannot be evaluated now.
   * @throws RemoteError if a service does not answer.
   */
  offered?(
    subject: Subject,
    context: VerifyContext,
    signal: AbortSignal,
  ): Promise<readonly Proof[]>;
}
