import * as v from "valibot";
import { base64ToBytes, hexToBytes, sha256 } from "../../core/encoding.ts";
import { isSameBytes } from "../bytes.ts";
import type { Bytes } from "../types.ts";
import { type Bundle, BundleError, BYTES, type LogEntry } from "./bundle.ts";
import { preAuthEncoding } from "./envelope.ts";
import { decodePem } from "./public_key.ts";

/** What an entry says was signed, and with what. */
interface Logged {
  signature: Bytes;
  /** A certificate, or a key as SubjectPublicKeyInfo. */
  verifier: Bytes;
  digest: Bytes;
  /** Whether the digest is that of the envelope's payload, and not of what is signed. */
  isOfPayload: boolean;
}

const fromBase64 = (text: string): Bytes => base64ToBytes(text) ?? new Uint8Array();
const HEX = v.pipe(v.string(), v.regex(/^(?:[0-9a-f]{2})+$/), v.transform(hexToBytes));
const TEXT = v.pipe(
  BYTES,
  v.transform((bytes) => new TextDecoder().decode(bytes)),
);
const PEM = v.pipe(
  TEXT,
  v.transform((pem) => decodePem(pem, "CERTIFICATE") ?? decodePem(pem, "PUBLIC KEY")),
  v.instance(Uint8Array<ArrayBuffer>),
);
const HASH = v.object({ value: HEX });
const RAW = v.object({ rawBytes: BYTES });
const VERIFIER = v.pipe(
  v.union([v.object({ x509Certificate: RAW }), v.object({ publicKey: RAW })]),
  v.transform((one) => ("publicKey" in one ? one.publicKey : one.x509Certificate).rawBytes),
);
const SIGNATURE_V2 = v.object({ content: BYTES, verifier: VERIFIER });

const one = <S extends v.GenericSchema>(schema: S) => v.strictTuple([schema]);

/** The bodies of Rekor's entries, by kind and version. https://github.com/sigstore/rekor/tree/main/pkg/types */
const BODIES: Readonly<Record<string, v.GenericSchema<unknown, Logged>>> = {
  "hashedrekord/0.0.1": v.pipe(
    v.object({
      data: v.object({ hash: HASH }),
      signature: v.object({ content: BYTES, publicKey: v.object({ content: PEM }) }),
    }),
    v.transform(({ data, signature }) => ({
      signature: signature.content,
      verifier: signature.publicKey.content,
      digest: data.hash.value,
      isOfPayload: false,
    })),
  ),
  "hashedrekord/0.0.2": v.pipe(
    v.object({
      hashedRekordV002: v.object({ data: v.object({ digest: BYTES }), signature: SIGNATURE_V2 }),
    }),
    v.transform(({ hashedRekordV002: { data, signature } }) => ({
      signature: signature.content,
      verifier: signature.verifier,
      digest: data.digest,
      isOfPayload: false,
    })),
  ),
  "dsse/0.0.1": v.pipe(
    v.object({
      payloadHash: HASH,
      signatures: one(v.object({ signature: BYTES, verifier: PEM })),
    }),
    v.transform(({ payloadHash, signatures: [signed] }) => ({
      ...signed,
      digest: payloadHash.value,
      isOfPayload: true,
    })),
  ),
  "dsse/0.0.2": v.pipe(
    v.object({
      dsseV002: v.object({
        payloadHash: v.object({ digest: BYTES }),
        signatures: one(SIGNATURE_V2),
      }),
    }),
    v.transform(({ dsseV002: { payloadHash, signatures } }) => ({
      signature: signatures[0].content,
      verifier: signatures[0].verifier,
      digest: payloadHash.digest,
      isOfPayload: true,
    })),
  ),
  "intoto/0.0.2": v.pipe(
    v.object({
      content: v.object({
        envelope: v.object({ signatures: one(v.object({ sig: TEXT, publicKey: PEM })) }),
        payloadHash: HASH,
      }),
    }),
    v.transform(({ content: { envelope, payloadHash } }) => ({
      // In base64 twice.
      signature: fromBase64(envelope.signatures[0].sig),
      verifier: envelope.signatures[0].publicKey,
      digest: payloadHash.value,
      isOfPayload: true,
    })),
  ),
};

const BODY = v.object({ kind: v.string(), apiVersion: v.string(), spec: v.unknown() });

/**
 * Verifies that a log entry is about this signature, by this certificate or key, of this content: otherwise those who
 * watch the log would not see what was signed.
 *
 * @throws {BundleError}
 */
export async function verifyBody(
  { kindVersion, canonicalizedBody }: LogEntry,
  content: Bundle["content"],
  verifier: Bytes,
): Promise<void> {
  const logged = readBody(canonicalizedBody, `${kindVersion.kind}/${kindVersion.version}`);
  if (!isSameBytes(logged.signature, content.signature)) {
    throw new BundleError("the log entry is about another signature");
  }
  if (!isSameBytes(logged.verifier, verifier)) {
    throw new BundleError("the log entry is about another certificate or key");
  }
  if (!isSameBytes(logged.digest, await loggedDigest(content, logged.isOfPayload))) {
    throw new BundleError("the log entry is about other content");
  }
}

function readBody(bytes: Bytes, kind: string): Logged {
  const json: unknown = JSON.parse(new TextDecoder().decode(bytes));
  const body = v.safeParse(BODY, json);
  if (!body.success || `${body.output.kind}/${body.output.apiVersion}` !== kind) {
    throw new BundleError(`the log entry is not of its kind, ${kind}`);
  }
  const schema = Object.hasOwn(BODIES, kind) ? BODIES[kind] : undefined;
  if (schema === undefined) throw new BundleError(`log entries of kind ${kind} are not supported`);
  const logged = v.safeParse(schema, body.output.spec);
  if (!logged.success) throw new BundleError(`the log entry of kind ${kind} is malformed`);
  return logged.output;
}

/** Rekor v2 logs an envelope as hashedrekord too, by the digest of what is signed. */
async function loggedDigest(content: Bundle["content"], isOfPayload: boolean): Promise<Bytes> {
  if (content.kind === "message") return content.digest;
  return sha256(isOfPayload ? content.payload : preAuthEncoding(content));
}
