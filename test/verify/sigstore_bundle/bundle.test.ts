import { describe, expect, test } from "vitest";
import { parseBundle } from "../../../src/verify/sigstore_bundle/bundle.ts";
import type { BundleJson } from "../../fakes/sigstore.ts";
import { sigstoreCase } from "../../support/sigstore_cases.ts";

const v3 = (): BundleJson => JSON.parse(sigstoreCase("happy-path-v0.3").bundle);

describe("a bundle", () => {
  test("has a signature, a certificate and log entries", () => {
    expect(parseBundle(v3())).toMatchObject({
      content: { kind: "message", hash: "sha256" },
      signer: { kind: "certificate", chain: [] },
      entries: [{ logIndex: 79571823n, integratedTime: 1710869186n }],
      timestamps: [],
    });
  });

  test("has the same meaning in the spellings of protobuf's JSON", () => {
    const bundle = v3();
    const [entry] = bundle.verificationMaterial.tlogEntries;
    entry.logIndex = Number(entry.logIndex);
    bundle.messageSignature.signature = bundle.messageSignature.signature.replace(/.{40}/g, "$&\n");
    bundle.verificationMaterial.timestampVerificationData = null;
    bundle.dsseEnvelope = null;
    expect(parseBundle(bundle)).toEqual({ ...parseBundle(v3()), json: bundle });
  });

  type Change = (bundle: BundleJson) => void;
  const material = (bundle: BundleJson): BundleJson => bundle.verificationMaterial;
  const entryOf = (bundle: BundleJson): BundleJson => material(bundle).tlogEntries[0];
  const changes: [string, Change, string][] = [
    ["an unknown version", (b) => (b.mediaType = "application/x"), "unknown media type"],
    ["no media type", (b) => delete b.mediaType, "mediaType is missing"],
    ["unknown fields", (b) => (b.extra = 1), "extra is not a field of a bundle"],
    ["no content", (b) => delete b.messageSignature, "expected one of messageSignature and"],
    [
      "two contents",
      (b) =>
        (b.dsseEnvelope = { payload: "YQ==", payloadType: "a", signatures: [{ sig: "YQ==" }] }),
      "expected one of messageSignature and dsseEnvelope",
    ],
    ["two signers", (b) => (material(b).publicKey = {}), "expected one certificate, chain or key"],
    ["no signer", (b) => delete material(b).certificate, "expected one certificate, chain or key"],
    [
      "a chain",
      (b) => {
        material(b).x509CertificateChain = { certificates: [material(b).certificate] };
        delete material(b).certificate;
      },
      "a certificate chain is not allowed since version 0.3",
    ],
    ["no proof", (b) => delete entryOf(b).inclusionProof, "inclusionProof is missing"],
    ["no checkpoint", (b) => delete entryOf(b).inclusionProof.checkpoint, "checkpoint is missing"],
    [
      "a long checkpoint",
      (b) => (entryOf(b).inclusionProof.checkpoint.envelope = "a".repeat(20_000)),
      "checkpoint.envelope should be",
    ],
    ["a negative index", (b) => (entryOf(b).logIndex = "-1"), "logIndex should be an integer"],
    [
      "a huge index",
      (b) => (entryOf(b).logIndex = "9".repeat(19)),
      "logIndex should be an integer",
    ],
    [
      "many entries",
      (b) => (material(b).tlogEntries = Array(17).fill(entryOf(b))),
      "tlogEntries should be",
    ],
    [
      "a signature that is not base64",
      (b) => (b.messageSignature.signature = "*"),
      "messageSignature.signature should be base64",
    ],
    [
      "base64 with bits left over",
      (b) => (b.messageSignature.signature = "YR=="),
      "messageSignature.signature should be base64",
    ],
    [
      "an unknown hash",
      (b) => (b.messageSignature.messageDigest.algorithm = "MD5"),
      "messageSignature.messageDigest.algorithm should be",
    ],
  ];

  test.each(changes)("with %s is refused", (_, change, reason) => {
    const bundle = v3();
    change(bundle);
    expect(() => parseBundle(bundle)).toThrow(reason);
  });

  test.each([null, [], "text", 1, {}])("is not %j", (json) => {
    expect(() => parseBundle(json)).toThrow();
  });
});

describe("an envelope", () => {
  const envelope = (): BundleJson =>
    JSON.parse(sigstoreCase("happy-path-intoto-in-dsse-v3").bundle);

  test("has exactly one signature", () => {
    expect(parseBundle(envelope()).content).toMatchObject({ kind: "envelope" });
    for (const count of [0, 2]) {
      const bundle = envelope();
      bundle.dsseEnvelope.signatures = Array(count).fill(bundle.dsseEnvelope.signatures[0]);
      expect(() => parseBundle(bundle)).toThrow("dsseEnvelope.signatures should be");
    }
  });
});
