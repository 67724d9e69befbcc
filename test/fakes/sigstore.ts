import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  X509Certificate,
} from "node:crypto";
import {
  fulcioHandler,
  initializeCA,
  initializeTLog,
  initializeTSA,
  rekorHandler,
} from "@sigstore/mock";
import type { SignerIdentity } from "../../src/core/proof.ts";
import { withoutNock } from "../support/without_nock.ts";
import type { Handler } from "./handler.ts";

withoutNock("@sigstore/mock");

export const ISSUER = "https://token.actions.githubusercontent.com";
export const WORKFLOW = "https://github.com/acme/app/.github/workflows/release.yml";

export const SIGNER: SignerIdentity = {
  issuer: ISSUER,
  subject: `${WORKFLOW}@refs/tags/v1.0.0`,
  repository: "https://github.com/acme/app",
};

/** A bundle as JSON; tests change it to break it. */
// biome-ignore lint/suspicious/noExplicitAny: a JSON document, of which tests change any part.
export type BundleJson = any;

export interface FakeSigstore {
  trustedRoot: object;
  /** Signs a file as `cosign sign-blob` does. */
  signFile(content: string | Uint8Array, signer?: Partial<SignerIdentity>): Promise<BundleJson>;
  /** Attests files as `actions/attest-build-provenance` does. */
  attest(
    subjects: readonly { name: string; sha256: string }[],
    options?: AttestOptions,
  ): Promise<BundleJson>;
  /** Signs a file with a key, as `cosign sign-blob --key` does. */
  signFileWith(key: KeyObject, content: string | Uint8Array, hash?: Hash): Promise<BundleJson>;
  /** The authority and the log as services, for clients that sign by themselves. */
  handler: Handler;
}

type Hash = "sha256" | "sha384" | "sha512";

export interface AttestOptions extends Partial<SignerIdentity> {
  payloadType?: string;
  predicateType?: string;
  predicate?: unknown;
  /** More extensions of the certificate, by OID. */
  extensions?: Readonly<Record<string, string>>;
}

export interface FakeSigstoreOptions {
  /** Without logs, as GitHub's instance for private repositories: only timestamps. */
  hasLogs?: boolean;
  /** The time at which certificates are issued. Defaults to now, which is that of the log and the timestamps. */
  issuedAt?: Date;
}

const KEY = { namedCurve: "P-256" };
const ISSUER_V1 = "1.3.6.1.4.1.57264.1.1";
const ISSUER_V2 = "1.3.6.1.4.1.57264.1.8";
const REPOSITORY = "1.3.6.1.4.1.57264.1.12";
const SHA256_OID = "2.16.840.1.101.3.4.2.1";

/** A certificate authority with its log, a transparency log, and a timestamp authority. */
export async function fakeSigstore(options: FakeSigstoreOptions = {}): Promise<FakeSigstore> {
  const { hasLogs = true, issuedAt } = options;
  const keys = generateKeyPairSync("ec", KEY);
  const ctlog = certificateLog(keys.publicKey, keys.privateKey);
  const ca = await initializeCA(keys, hasLogs ? ctlog : undefined, issuedAt);
  const tlog = await initializeTLog("https://rekor.example", keys);
  const now = new Date();
  const tsa = await initializeTSA(keys, now);

  const materials = async (entry: object, signature: Buffer): Promise<object> => {
    // Whole seconds: its encoding of fractions is not always valid.
    now.setTime(Math.floor(Date.now() / 1_000) * 1_000);
    const signedTimestamp = await tsa.timestamp({
      artifactHash: digest(signature),
      hashAlgorithmOID: SHA256_OID,
      nonce: 1,
      policyOID: "1.3.6.1.4.1.57264.2",
    });
    return {
      tlogEntries: hasLogs ? [await logged(tlog, entry)] : [],
      timestampVerificationData: {
        rfc3161Timestamps: [{ signedTimestamp: base64(signedTimestamp) }],
      },
    };
  };
  const certify = async (publicKey: KeyObject, signer: AttestOptions): Promise<Buffer> => {
    const { issuer, subject, repository } = { ...SIGNER, ...signer };
    const extensions = {
      ...(issuer === "" ? {} : { [ISSUER_V2]: issuer, [REPOSITORY]: repository ?? "" }),
      ...signer.extensions,
    };
    return ca.issueCertificate({
      publicKey: spki(publicKey),
      subjectAltName: subject,
      extensions: [
        ...(issuer === "" ? [] : [{ oid: ISSUER_V1, value: issuer, legacy: true }]),
        ...Object.entries(extensions).map(([oid, value]) => ({ oid, value })),
      ],
    });
  };
  const messageBundle = async (
    content: string | Uint8Array,
    key: KeyObject,
    verifier: string,
    signer: object,
    hash: Hash = "sha256",
  ): Promise<BundleJson> => {
    const algorithm = key.asymmetricKeyType === "ed25519" ? null : hash;
    const signature = sign(algorithm, Buffer.from(content), key);
    const fileDigest = digest(content, hash);
    const entry = {
      apiVersion: "0.0.1",
      kind: "hashedrekord",
      spec: {
        data: { hash: { algorithm: hash, value: fileDigest.toString("hex") } },
        signature: { content: base64(signature), publicKey: { content: base64(verifier) } },
      },
    };
    return {
      mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
      verificationMaterial: { ...signer, ...(await materials(entry, signature)) },
      messageSignature: {
        messageDigest: { algorithm: hash.replace("sha", "SHA2_"), digest: base64(fileDigest) },
        signature: base64(signature),
      },
    };
  };

  const [authority, log] = [fulcioHandler(ca), rekorHandler(tlog)];
  return {
    async handler(request) {
      const { pathname } = new URL(request.url);
      const body = await request.text();
      if (pathname === log.path) return asResponse(await log.fn(asLogged(body)), true);
      if (pathname !== authority.path) return new Response("not found", { status: 404 });
      // It expects the token in the body, as sigstore-js sends it.
      const oidcIdentityToken = request.headers.get("authorization")?.replace(/^Bearer /, "");
      const credentials = { oidcIdentityToken };
      const answer = await authority.fn(JSON.stringify({ credentials, ...JSON.parse(body) }));
      // Clients in Go expect 200.
      return asResponse({ ...answer, statusCode: answer.statusCode === 201 ? 200 : 400 });
    },
    trustedRoot: {
      mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
      tlogs: hasLogs ? [logRoot("https://rekor.example", tlog.publicKey)] : [],
      ctlogs: hasLogs ? [logRoot("https://ctfe.example", ctlog.publicKey)] : [],
      certificateAuthorities: [authorityRoot([ca.rootCertificate])],
      timestampAuthorities: [authorityRoot([tsa.intCertificate, tsa.rootCertificate])],
    },
    async signFile(content, signer = {}) {
      const { publicKey, privateKey } = generateKeyPairSync("ec", KEY);
      const certificate = await certify(publicKey, signer);
      const pem = new X509Certificate(certificate).toString();
      return messageBundle(content, privateKey, pem, {
        certificate: { rawBytes: base64(certificate) },
      });
    },
    async signFileWith(key, content, hash) {
      const pem = createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
      return messageBundle(content, key, pem, { publicKey: { hint: "" } }, hash);
    },
    async attest(subjects, attestOptions = {}) {
      const { predicateType = "https://slsa.dev/provenance/v1", predicate = {} } = attestOptions;
      const { publicKey, privateKey } = generateKeyPairSync("ec", KEY);
      const certificate = await certify(publicKey, attestOptions);
      const payload = JSON.stringify({
        _type: "https://in-toto.io/Statement/v1",
        subject: subjects.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
        predicateType,
        predicate,
      });
      const { payloadType = "application/vnd.in-toto+json" } = attestOptions;
      const encoded = `DSSEv1 ${payloadType.length} ${payloadType} ${Buffer.byteLength(payload)} ${payload}`;
      const signature = sign("sha256", Buffer.from(encoded), privateKey);
      const verifier = base64(new X509Certificate(certificate).toString());
      const entry = {
        apiVersion: "0.0.1",
        kind: "dsse",
        spec: {
          payloadHash: { algorithm: "sha256", value: digest(payload).toString("hex") },
          signatures: [{ signature: base64(signature), verifier }],
        },
      };
      return {
        mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
        verificationMaterial: {
          certificate: { rawBytes: base64(certificate) },
          ...(await materials(entry, signature)),
        },
        dsseEnvelope: {
          payload: base64(payload),
          payloadType,
          signatures: [{ sig: base64(signature) }],
        },
      };
    },
  };
}

/** Of an envelope that is proposed, Rekor logs only the hashes and the signatures. */
function asLogged(body: string): string {
  const { spec, ...entry } = JSON.parse(body);
  if (entry.kind !== "dsse") return body;
  const { envelope, verifiers } = spec.proposedContent;
  const { payload, signatures } = JSON.parse(envelope);
  const hash = (data: string | Uint8Array) => ({
    algorithm: "sha256",
    value: digest(data).toString("hex"),
  });
  return JSON.stringify({
    ...entry,
    spec: {
      envelopeHash: hash(envelope),
      payloadHash: hash(Buffer.from(payload, "base64")),
      signatures: [{ signature: signatures[0].sig, verifier: verifiers[0] }],
    },
  });
}

type Answer = Awaited<ReturnType<ReturnType<typeof rekorHandler>["fn"]>>;

/** Clients in Go find the entry by the ETag. */
function asResponse({ statusCode, response, contentType }: Answer, hasEntry = false): Response {
  const headers = new Headers({ "content-type": contentType ?? "text/plain" });
  if (hasEntry) headers.set("etag", Object.keys(JSON.parse(String(response)))[0] ?? "");
  return new Response(String(response), { status: statusCode, headers });
}

type CertificateLog = NonNullable<Parameters<typeof initializeCA>[1]>;

/** @sigstore/mock has one as well, but its signatures are empty with this version of its dependencies. */
function certificateLog(publicKey: KeyObject, privateKey: KeyObject): CertificateLog {
  const key = spki(publicKey);
  const logID = digest(key);
  return {
    publicKey: key,
    logID,
    // https://www.rfc-editor.org/rfc/rfc6962#section-3.2
    async log(certificate, issuerID) {
      const tbs = firstElement(firstElement(Buffer.from(certificate), true), false);
      const time = Buffer.alloc(8);
      time.writeBigUInt64BE(BigInt(Date.now()));
      const [version, extensions] = [Buffer.of(0), Buffer.of(0, 0)];
      const entry = [Buffer.of(0, 1), Buffer.from(issuerID), uint(tbs.byteLength, 3), tbs];
      const signed = Buffer.concat([version, Buffer.of(0), time, ...entry, extensions]);
      const signature = sign("sha256", signed, privateKey);
      const [sha256, ecdsa] = [4, 3];
      const sct = Buffer.concat([
        Buffer.concat([version, logID, time, extensions, Buffer.of(sha256, ecdsa)]),
        uint(signature.byteLength, 2),
        signature,
      ]);
      return new Uint8Array(Buffer.concat([uint(sct.byteLength, 2), sct])).buffer;
    },
  };
}

/** The first element in DER, or its content. All that are used here have a length of two bytes. */
function firstElement(der: Buffer, isContent: boolean): Buffer {
  if (der[1] !== 0x82) throw new Error("unexpected length");
  return der.subarray(isContent ? 4 : 0, 4 + der.readUInt16BE(2));
}

function uint(value: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntBE(value, 0, size);
  return bytes;
}

type TransparencyLog = Awaited<ReturnType<typeof initializeTLog>>;

/** What Rekor v1 answers, as far as it is used here. */
interface LogEntry {
  body: string;
  integratedTime: number;
  logID: string;
  logIndex: number;
  verification: {
    signedEntryTimestamp: string;
    inclusionProof: { rootHash: string; checkpoint: string };
  };
}

async function logged(
  tlog: TransparencyLog,
  entry: { kind?: string; apiVersion?: string },
): Promise<object> {
  const [log] = Object.values((await tlog.log(entry)) as Record<string, LogEntry>);
  if (log === undefined) throw new Error("the log has no entry");
  const { inclusionProof, signedEntryTimestamp } = log.verification;
  return {
    logIndex: String(log.logIndex),
    logId: { keyId: base64(Buffer.from(log.logID, "hex")) },
    kindVersion: { kind: entry.kind, version: entry.apiVersion },
    integratedTime: String(log.integratedTime),
    inclusionPromise: { signedEntryTimestamp },
    inclusionProof: {
      logIndex: "0",
      treeSize: "1",
      rootHash: base64(Buffer.from(inclusionProof.rootHash, "hex")),
      hashes: [],
      checkpoint: { envelope: inclusionProof.checkpoint },
    },
    canonicalizedBody: log.body,
  };
}

const VALID = { start: "2020-01-01T00:00:00Z" };

function logRoot(baseUrl: string, key: Buffer): object {
  return {
    baseUrl,
    hashAlgorithm: "SHA2_256",
    publicKey: {
      rawBytes: base64(key),
      keyDetails: "PKIX_ECDSA_P256_SHA_256",
      validFor: { ...VALID },
    },
    logId: { keyId: base64(digest(key)) },
  };
}

function authorityRoot(chain: readonly Buffer[]): object {
  return {
    uri: "https://authority.example",
    certChain: { certificates: chain.map((der) => ({ rawBytes: base64(der) })) },
    validFor: { ...VALID },
  };
}

const spki = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });
const base64 = (data: string | Uint8Array): string => Buffer.from(data).toString("base64");
const digest = (data: string | Uint8Array, hash: Hash = "sha256"): Buffer =>
  createHash(hash).update(data).digest();

/** The same signature as cosign 1 and 2 wrote it to `--bundle`. */
export function cosignBlob(bundle: BundleJson): BundleJson {
  return {
    base64Signature: bundle.messageSignature.signature,
    cert: base64(certificatePem(bundle)),
    rekorBundle: rekorBundle(bundle),
  };
}

/** The same signature, or attestation, as cosign writes it to the annotations of an image's signature. */
export function cosignAnnotations(bundle: BundleJson): Record<string, string> {
  const { rfc3161Timestamps } = bundle.verificationMaterial.timestampVerificationData;
  return {
    "dev.cosignproject.cosign/signature": bundle.messageSignature?.signature ?? "",
    "dev.sigstore.cosign/certificate": certificatePem(bundle),
    "dev.sigstore.cosign/bundle": JSON.stringify(rekorBundle(bundle)),
    "dev.sigstore.cosign/rfc3161timestamp": JSON.stringify({
      SignedRFC3161Timestamp: rfc3161Timestamps[0].signedTimestamp,
    }),
  };
}

/** What cosign signs for an image. https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md#simple-signing */
export function simplePayload(imageDigest: string, reference = "registry.example/app"): string {
  return JSON.stringify({
    critical: {
      identity: { "docker-reference": reference },
      image: { "docker-manifest-digest": imageDigest },
      type: "cosign container image signature",
    },
    optional: null,
  });
}

function certificatePem({ verificationMaterial }: BundleJson): string {
  const { certificate } = verificationMaterial;
  if (certificate === undefined) return "";
  return new X509Certificate(Buffer.from(certificate.rawBytes, "base64")).toString();
}

function rekorBundle({ verificationMaterial }: BundleJson): object {
  const [entry] = verificationMaterial.tlogEntries;
  return {
    SignedEntryTimestamp: entry.inclusionPromise.signedEntryTimestamp,
    Payload: {
      body: entry.canonicalizedBody,
      integratedTime: Number(entry.integratedTime),
      logIndex: Number(entry.logIndex),
      logID: Buffer.from(entry.logId.keyId, "base64").toString("hex"),
    },
  };
}
