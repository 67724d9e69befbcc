import { generateKeyPairSync } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { ImageSignature, Proof } from "../../../src/core/proof.ts";
import { sigstore } from "../../../src/verify/sigstore/driver.ts";
import { sigstoreKey } from "../../../src/verify/sigstore_key/driver.ts";
import type { Subject, VerifyContext } from "../../../src/verify/types.ts";
import {
  type BundleJson,
  cosignAnnotations,
  cosignBlob,
  type FakeSigstore,
  fakeSigstore,
  ISSUER,
  SIGNER,
  simplePayload,
  WORKFLOW,
} from "../../fakes/sigstore.ts";
import { sha256Hex, subjectOf, verifyContext } from "../../support/subject.ts";

const RULE = `${WORKFLOW},${ISSUER}`;
const signal = new AbortController().signal;

let instance: FakeSigstore;
beforeAll(async () => {
  instance = await fakeSigstore();
});

describe("a bundle of cosign 1 and 2", () => {
  const verify = (bundle: BundleJson, content = "bytes"): Promise<Proof> => {
    const context = verifyContext({ sigstoreRoots: async () => [instance.trustedRoot] });
    const subject = subjectOf({ app: content, "app.bundle": JSON.stringify(bundle) });
    return sigstore.open(RULE, context).verify(subject, signal);
  };

  test("is verified by the promise of the log", async () => {
    const proof = await verify(cosignBlob(await instance.signFile("bytes")));
    expect(proof).toMatchObject({ evidence: "app.bundle", identity: SIGNER });
    expect(proof.log).toMatch(/^rekor\.example \d+$/);
  });

  test("with a certificate in PEM without base64 around it", async () => {
    const blob = cosignBlob(await instance.signFile("bytes"));
    blob.cert = Buffer.from(blob.cert, "base64").toString();
    expect(await verify(blob)).toMatchObject({ identity: SIGNER });
  });

  test("is refused for other content", async () => {
    const blob = cosignBlob(await instance.signFile("bytes"));
    await expect(verify(blob, "other bytes")).rejects.toThrow(
      "the log entry is about other content",
    );
  });

  test.each([
    ["integratedTime", 1],
    ["logIndex", 1],
    ["logID", "00".repeat(32)],
    ["logID", "short"],
    ["body", "e30="],
  ])("is refused with another %s", async (field, value) => {
    const blob = cosignBlob(await instance.signFile("bytes"));
    blob.rekorBundle.Payload[field] = value;
    await expect(verify(blob)).rejects.toMatchObject({ code: "unverified" });
  });

  test("is refused without the log", async () => {
    const blob = cosignBlob(await instance.signFile("bytes"));
    delete blob.rekorBundle;
    await expect(verify(blob)).rejects.toThrow("it has no entry of a transparency log");
  });
});

describe("an image", () => {
  const DIGEST = sha256Hex("manifest");
  const INDEX = sha256Hex("index");

  const imageWith = (signatures: readonly ImageSignature[]): Subject => ({
    ...subjectOf({ app: "manifest" }),
    files: [],
    open: undefined,
    image: {
      digests: async () => [DIGEST, INDEX],
      async *signatures() {
        yield* signatures;
      },
    },
  });
  const context = (): VerifyContext =>
    verifyContext({ sigstoreRoots: async () => [instance.trustedRoot] });
  const verify = (...signatures: ImageSignature[]): Promise<Proof> =>
    sigstore.open(RULE, context()).verify(imageWith(signatures), signal);

  const simple = async (digest: string, reference?: string): Promise<ImageSignature> => {
    const payload = simplePayload(`sha256:${digest}`, reference);
    const bundle = await instance.signFile(payload);
    return {
      evidence: "sha256-abc.sig",
      sha256: DIGEST,
      simple: { payload: Buffer.from(payload), annotations: cosignAnnotations(bundle) },
    };
  };

  test("is verified by a signature of a payload that names it", async () => {
    const proof = await verify(await simple(DIGEST));
    expect(proof).toMatchObject({ evidence: "sha256-abc.sig", identity: SIGNER });
    expect(proof.checksums).toBeUndefined();
  });

  test("is refused with the signature of another image", async () => {
    const other = sha256Hex("other");
    await expect(verify(await simple(other))).rejects.toThrow(
      `sha256-abc.sig: the signature is of sha256:${other}`,
    );
  });

  test("is verified by a signature of the index that lists it", async () => {
    const signature = { ...(await simple(INDEX)), sha256: INDEX };
    expect(await verify(signature)).toMatchObject({
      checksums: `sha256:${INDEX}`,
      identity: SIGNER,
    });
  });

  test("is verified by a signature of its tag, and refused with that of another tag", async () => {
    expect(await verify(await simple(DIGEST, "localhost:5000/app:v1.0.0"))).toMatchObject({
      identity: SIGNER,
    });
    await expect(verify(await simple(DIGEST, "localhost:5000/app:v0.9.0"))).rejects.toThrow(
      "the signature is of the tag v0.9.0",
    );
    const digest = `localhost:5000/app@sha256:${DIGEST}`;
    expect(await verify(await simple(DIGEST, digest))).toMatchObject({ identity: SIGNER });
  });

  test("is refused with a payload that was changed", async () => {
    const signature = await simple(sha256Hex("other"));
    if (signature.simple === undefined) throw new Error("no payload");
    signature.simple.payload = Buffer.from(simplePayload(`sha256:${DIGEST}`));
    await expect(verify(signature)).rejects.toThrow("the log entry is about other content");
  });

  test("is verified by an attestation in cosign's own format", async () => {
    const bundle = await instance.attest([{ name: "app", sha256: DIGEST }]);
    const payload = Buffer.from(JSON.stringify(bundle.dsseEnvelope));
    const annotations = cosignAnnotations(bundle);
    expect(
      await verify({
        evidence: "sha256-abc.att",
        sha256: DIGEST,
        simple: { payload, annotations },
      }),
    ).toMatchObject({ identity: SIGNER });
  });

  test("is verified by a bundle, and refused with that of another image", async () => {
    const of = async (sha256: string): Promise<ImageSignature> => {
      const bundle = await instance.attest([{ name: "app", sha256 }]);
      return { evidence: "sha256:123", sha256: DIGEST, bundle: JSON.stringify(bundle) };
    };
    expect(await verify(await of(DIGEST))).toMatchObject({ evidence: "sha256:123" });
    await expect(verify(await of(sha256Hex("other")))).rejects.toThrow(
      "sha256:123: the attestation is about other files",
    );
  });

  test("takes the first signature that holds", async () => {
    const broken = { evidence: "broken", sha256: DIGEST, bundle: "{" };
    const stranger = await simple(sha256Hex("other"));
    const proof = await verify(broken, stranger, await simple(DIGEST));
    expect(proof.identity).toEqual(SIGNER);
  });

  test("is verified by a key", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const payload = simplePayload(`sha256:${DIGEST}`);
    const annotations = cosignAnnotations(await instance.signFileWith(privateKey, payload));
    const simple = { payload: Buffer.from(payload), annotations };
    const image = imageWith([{ evidence: "x.sig", sha256: DIGEST, simple }]);
    const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
    const verifier = sigstoreKey.open(pem, context());
    expect(await verifier.verify(image, signal)).toMatchObject({ kind: "sigstore-key" });
  });

  test("without a signature says how to sign it", async () => {
    await expect(verify()).rejects.toThrow(
      `Cannot verify "app" of v1.0.0 with sigstore: the registry has no signature for it; sign it in CI: cosign sign --yes IMAGE@sha256:${DIGEST}`,
    );
  });

  test.each([
    ["text", "x"],
    ["other JSON", "{}"],
  ])("is refused with a payload that is %s", async (_, payload) => {
    const annotations = cosignAnnotations(await instance.signFile(payload));
    await expect(
      verify({
        evidence: "x.sig",
        sha256: DIGEST,
        simple: { payload: Buffer.from(payload), annotations },
      }),
    ).rejects.toMatchObject({ code: "unverified" });
  });
});
