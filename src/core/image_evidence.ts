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
