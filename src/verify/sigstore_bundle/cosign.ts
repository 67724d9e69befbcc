import * as v from "valibot";
import { base64ToBytes, bytesToBase64, hexToBytes } from "../../core/encoding.ts";
import type { Bytes } from "../types.ts";
import { BundleError } from "./bundle.ts";
import { decodePem } from "./public_key.ts";

/** What cosign wrote before it had Sigstore's bundles. */
export interface CosignSignature {
  /** In base64. */
  signature?: string | undefined;
  /** In PEM. */
  certificate?: string | undefined;
  /** JSON with the signed entry timestamp of Rekor. */
  rekor?: unknown;
  /** An RFC 3161 timestamp in base64. */
  timestamp?: string | undefined;
}

const REKOR = v.object({
  SignedEntryTimestamp: v.string(),
  Payload: v.object({
    body: v.string(),
    integratedTime: v.number(),
    logIndex: v.number(),
    logID: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  }),
});

/** The file of `cosign sign-blob --bundle` of cosign 1 and 2. */
const BLOB = v.object({
  base64Signature: v.string(),
  cert: v.optional(v.string()),
  rekorBundle: v.optional(v.unknown()),
});

/** Converts cosign's own format; `undefined` if the JSON is not in it. */
export function bundleOfBlob(json: unknown, digest: Bytes): unknown {
  const parsed = v.safeParse(BLOB, json);
  if (!parsed.success) return undefined;
  const { base64Signature: signature, cert = "", rekorBundle: rekor } = parsed.output;
  const decoded = base64ToBytes(cert);
  const certificate = decoded === undefined ? cert : new TextDecoder().decode(decoded);
  return bundleOf({ signature, certificate, rekor }, messageOf(signature, digest));
}

/** https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md */
export function bundleOfAnnotations(
  annotations: Readonly<Record<string, string>>,
  payload: Bytes,
  digest: Bytes,
): unknown {
  const read = (name: string): unknown => JSON.parse(annotations[name] ?? "null") ?? undefined;
  const timestamp = v.safeParse(
    v.object({ SignedRFC3161Timestamp: v.string() }),
    read("dev.sigstore.cosign/rfc3161timestamp"),
  );
  const cosign: CosignSignature = {
    signature: annotations["dev.cosignproject.cosign/signature"],
    certificate: annotations["dev.sigstore.cosign/certificate"],
    rekor: read("dev.sigstore.cosign/bundle"),
    timestamp: timestamp.success ? timestamp.output.SignedRFC3161Timestamp : undefined,
  };
  const envelope = envelopeOf(payload);
  return bundleOf(cosign, envelope ?? messageOf(cosign.signature ?? "", digest));
}

/** An attestation is an envelope, and a signature is of a payload. */
function envelopeOf(payload: Bytes): object | undefined {
  const json: unknown = JSON.parse(new TextDecoder().decode(payload));
  return v.is(v.object({ payloadType: v.string(), signatures: v.array(v.unknown()) }), json)
    ? { dsseEnvelope: json }
    : undefined;
}

function messageOf(signature: string, digest: Bytes): object {
  const messageDigest = { algorithm: "SHA2_256", digest: bytesToBase64(digest) };
  return { messageSignature: { messageDigest, signature } };
}

/** Version 0.1 is what cosign's logs gave: a promise without a proof. */
function bundleOf({ certificate, rekor, timestamp }: CosignSignature, content: object): unknown {
  return {
    mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.1",
    verificationMaterial: {
      ...signerOf(certificate),
      tlogEntries: rekor === undefined ? [] : [entryOf(rekor)],
      timestampVerificationData: {
        rfc3161Timestamps: timestamp === undefined ? [] : [{ signedTimestamp: timestamp }],
      },
    },
    ...content,
  };
}

function signerOf(pem = ""): object {
  const certificate = decodePem(pem, "CERTIFICATE");
  if (certificate === undefined) return { publicKey: { hint: "" } };
  return { x509CertificateChain: { certificates: [{ rawBytes: bytesToBase64(certificate) }] } };
}

function entryOf(rekor: unknown): object {
  const parsed = v.safeParse(REKOR, rekor);
  if (!parsed.success) throw new BundleError("the entry of the log is malformed");
  const { SignedEntryTimestamp: signedEntryTimestamp, Payload } = parsed.output;
  const { body, integratedTime, logIndex, logID } = Payload;
  const { kind, apiVersion } = v.parse(
    v.object({ kind: v.string(), apiVersion: v.string() }),
    JSON.parse(atob(body)),
  );
  return {
    logIndex: String(logIndex),
    logId: { keyId: bytesToBase64(hexToBytes(logID)) },
    kindVersion: { kind, version: apiVersion },
    integratedTime: String(integratedTime),
    inclusionPromise: { signedEntryTimestamp },
    canonicalizedBody: body,
  };
}
