import * as v from "valibot";
import { decodeCanonical } from "../bytes.ts";
import { EvidenceError } from "../signed_file.ts";
import type { Bytes, HashName } from "../types.ts";

/** A bundle that is malformed, or that does not prove what it should. The message is a reason, not a sentence. */
export class BundleError extends EvidenceError {}

/** A Sigstore bundle. https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto */
export interface Bundle {
  content: Message | Envelope;
  /** Which key it is signed with. */
  signer: Certificate | KeyHint;
  entries: readonly LogEntry[];
  /** RFC 3161 timestamps over the signature. */
  timestamps: readonly Bytes[];
  /** The bundle as it was read, for @sigstore/verify. */
  json: unknown;
}

/** A signature over the file itself. */
export interface Message {
  kind: "message";
  hash: Exclude<HashName, "blake2b512">;
  digest: Bytes;
  signature: Bytes;
}

/** A signed statement about files. https://github.com/secure-systems-lab/dsse */
export interface Envelope {
  kind: "envelope";
  payloadType: string;
  payload: Bytes;
  signature: Bytes;
}

export interface Certificate {
  kind: "certificate";
  certificate: Bytes;
  chain: readonly Bytes[];
}

export interface KeyHint {
  kind: "key";
  hint: string;
}

export type LogEntry = v.InferOutput<typeof LOG_ENTRY>;

export const BYTES = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const bytes = decodeCanonical(dataset.value.replaceAll(/\s/g, ""));
    if (bytes !== undefined) return bytes;
    addIssue({ expected: "base64" });
    return NEVER;
  }),
);

/** In protobuf's JSON, a field that is not set is absent or null. */
export const optional = <S extends v.GenericSchema>(schema: S) =>
  v.pipe(
    v.nullish(schema),
    v.transform((value): v.InferOutput<S> | undefined => value ?? undefined),
  );

/** An int64 of protobuf in JSON: a string, or a number in some bundles. A zero is left out. */
const INTEGER = v.pipe(
  v.nullish(v.union([v.string(), v.number()]), "0"),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const text = String(dataset.value);
    if (/^\d{1,18}$/.test(text)) return BigInt(text);
    addIssue({ expected: "an integer" });
    return NEVER;
  }),
);

const LOG_ENTRY = v.strictObject({
  logIndex: INTEGER,
  logId: v.strictObject({ keyId: BYTES }),
  kindVersion: v.strictObject({ kind: v.string(), version: v.string() }),
  integratedTime: INTEGER,
  inclusionPromise: optional(v.strictObject({ signedEntryTimestamp: BYTES })),
  inclusionProof: optional(
    v.strictObject({
      logIndex: INTEGER,
      rootHash: BYTES,
      treeSize: INTEGER,
      hashes: v.nullish(v.pipe(v.array(BYTES), v.maxLength(64)), []),
      checkpoint: optional(v.strictObject({ envelope: v.pipe(v.string(), v.maxLength(16_384)) })),
    }),
  ),
  canonicalizedBody: BYTES,
});

const HASHES = { SHA2_256: "sha256", SHA2_384: "sha384", SHA2_512: "sha512" } as const;

const CERTIFICATE = v.strictObject({ rawBytes: BYTES });

const BUNDLE = v.strictObject({
  mediaType: v.string(),
  verificationMaterial: v.strictObject({
    certificate: optional(CERTIFICATE),
    x509CertificateChain: optional(v.strictObject({ certificates: v.array(CERTIFICATE) })),
    publicKey: optional(v.strictObject({ hint: v.nullish(v.string(), "") })),
    tlogEntries: v.nullish(v.pipe(v.array(LOG_ENTRY), v.maxLength(16)), []),
    timestampVerificationData: optional(
      v.strictObject({
        rfc3161Timestamps: v.nullish(
          v.pipe(v.array(v.strictObject({ signedTimestamp: BYTES })), v.maxLength(16)),
          [],
        ),
      }),
    ),
  }),
  messageSignature: optional(
    v.strictObject({
      messageDigest: v.strictObject({
        algorithm: v.picklist(Object.keys(HASHES) as (keyof typeof HASHES)[]),
        digest: BYTES,
      }),
      signature: BYTES,
    }),
  ),
  dsseEnvelope: optional(
    v.strictObject({
      payload: BYTES,
      payloadType: v.string(),
      signatures: v.pipe(
        v.array(v.strictObject({ sig: BYTES, keyid: v.nullish(v.string()) })),
        v.length(1),
      ),
    }),
  ),
});

type BundleJson = v.InferOutput<typeof BUNDLE>;

const MEDIA_TYPES: Readonly<Record<string, Version>> = {
  "application/vnd.dev.sigstore.bundle+json;version=0.1": 1,
  "application/vnd.dev.sigstore.bundle+json;version=0.2": 2,
  "application/vnd.dev.sigstore.bundle+json;version=0.3": 3,
  "application/vnd.dev.sigstore.bundle.v0.3+json": 3,
};

type Version = 1 | 2 | 3;

/** @throws {BundleError} */
export function parseBundle(json: unknown): Bundle {
  const parsed = v.safeParse(BUNDLE, json, { abortEarly: true });
  if (!parsed.success) throw new BundleError(problemOf(parsed.issues[0]));
  const { mediaType, verificationMaterial: material } = parsed.output;
  const version = MEDIA_TYPES[mediaType];
  if (version === undefined) throw new BundleError(`unknown media type "${mediaType}"`);
  return {
    content: contentOf(parsed.output),
    signer: signerOf(parsed.output, version),
    entries: material.tlogEntries.map((entry) => checkedEntry(entry, version)),
    timestamps: (material.timestampVerificationData?.rfc3161Timestamps ?? []).map(
      ({ signedTimestamp }) => signedTimestamp,
    ),
    json,
  };
}

function problemOf(issue: v.BaseIssue<unknown>): string {
  const where = v.getDotPath(issue) ?? "the bundle";
  if (issue.received === "undefined") return `${where} is missing`;
  return issue.expected === "never"
    ? `${where} is not a field of a bundle`
    : `${where} should be ${issue.expected ?? issue.type}`;
}

function contentOf({ messageSignature, dsseEnvelope }: BundleJson): Message | Envelope {
  if (messageSignature !== undefined && dsseEnvelope === undefined) {
    const { messageDigest, signature } = messageSignature;
    const { algorithm, digest } = messageDigest;
    return { kind: "message", hash: HASHES[algorithm], digest, signature };
  }
  const [signed] = dsseEnvelope?.signatures ?? [];
  if (dsseEnvelope === undefined || signed === undefined || messageSignature !== undefined) {
    throw new BundleError("expected one of messageSignature and dsseEnvelope");
  }
  const { payloadType, payload } = dsseEnvelope;
  return { kind: "envelope", payloadType, payload, signature: signed.sig };
}

function signerOf({ verificationMaterial }: BundleJson, version: Version): Certificate | KeyHint {
  const { certificate, x509CertificateChain, publicKey } = verificationMaterial;
  const given = [certificate, x509CertificateChain, publicKey].filter((one) => one !== undefined);
  if (given.length !== 1) throw new BundleError("expected one certificate, chain or key");
  if (publicKey !== undefined) return { kind: "key", hint: publicKey.hint };
  if (certificate !== undefined) {
    return { kind: "certificate", certificate: certificate.rawBytes, chain: [] };
  }
  const [leaf, ...chain] = (x509CertificateChain?.certificates ?? []).map((one) => one.rawBytes);
  if (leaf === undefined) throw new BundleError("the certificate chain is empty");
  if (version === 3) throw new BundleError("a certificate chain is not allowed since version 0.3");
  return { kind: "certificate", certificate: leaf, chain };
}

/** Version 0.1 requires the log's promise and may have a proof without a checkpoint; later versions require the proof. */
function checkedEntry(entry: LogEntry, version: Version): LogEntry {
  const { inclusionProof, inclusionPromise, ...rest } = entry;
  if (version === 1) {
    if (inclusionPromise === undefined) throw new BundleError("inclusionPromise is missing");
    return inclusionProof?.checkpoint === undefined ? { ...rest, inclusionPromise } : entry;
  }
  if (inclusionProof === undefined) throw new BundleError("inclusionProof is missing");
  if (inclusionProof.checkpoint === undefined) throw new BundleError("the checkpoint is missing");
  return entry;
}
