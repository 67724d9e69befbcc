/** A kind of verification, as `--verify` names it. */
export type VerifyKind =
  | "checksums"
  | "minisign"
  | "ssh"
  | "openpgp"
  | "sigstore"
  | "sigstore-key"
  | "github"
  | "index";

export const VERIFY_KINDS = [
  "checksums",
  "minisign",
  "ssh",
  "openpgp",
  "sigstore",
  "sigstore-key",
  "github",
  "index",
] as const satisfies readonly VerifyKind[];

/** The signer of a keyless signature or an attestation, as its certificate says. */
export interface SignerIdentity {
  /** The issuer of the token: `https://token.actions.githubusercontent.com`. Empty for GitHub's attestation of a release. */
  issuer: string;
  /** The subject of the certificate, with its ref: `https://github.com/o/r/.github/workflows/release.yml@refs/tags/v1`. */
  subject: string;
  /** `https://github.com/o/r`, where the certificate says so. */
  repository?: string | undefined;
}

/** What a verification has proved. */
export interface Proof {
  /** How it was proved. */
  kind: VerifyKind;
  /** The file with the signature, or the service that has the attestation. */
  evidence: string;
  /** The checksum file that lists the artifact, if the signature covers that and not the artifact itself. */
  checksums?: string | undefined;
  /** The key: its id or fingerprint, or the principal. */
  signer?: string | undefined;
  /** The signer of a keyless signature or an attestation. */
  identity?: SignerIdentity | undefined;
  /** When it was signed, in ISO 8601, as far as that is proved. */
  signedAt?: string | undefined;
  /** The transparency log and the index of the entry. */
  log?: string | undefined;
}

/** What an image registry has beside an image: by cosign's tags, and as OCI 1.1 referrers. */
export interface ImageEvidence {
  /**
   * The SHA-256 digests, in lower-case hex, of which a signature covers the image: its own, and that of the index that
   * lists it.
   */
  digests(signal: AbortSignal): Promise<readonly string[]>;
  /** Signatures and attestations of these digests. Reads each only once, however often they are iterated. */
  signatures(signal: AbortSignal): AsyncIterable<ImageSignature>;
}

/** A Sigstore bundle, or a payload with what cosign has added as annotations. */
export interface ImageSignature {
  /** Where it was found: a tag, or the digest of a manifest. */
  evidence: string;
  /** One of the digests of the image: what it should be about. */
  sha256: string;
  /** A Sigstore bundle as JSON. */
  bundle?: string | undefined;
  /** Cosign's simple signing: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md */
  simple?: { payload: Uint8Array; annotations: Readonly<Record<string, string>> } | undefined;
}

/** The attestations that GitHub has of files, asked for with the credentials of `ghr://`. */
export interface GitHubEvidence {
  /** `OWNER/REPO` of a `ghr://` registry; without it, `auto` does not ask. */
  repository?: string | undefined;
  /**
   * The Sigstore bundles about a file; empty if there are none.
   *
   * @throws RemoteError or CredentialError if GitHub does not answer.
   */
  list(repository: string, sha256: string, signal: AbortSignal): Promise<readonly unknown[]>;
}
