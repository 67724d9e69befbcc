import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { Proof } from "../../../src/core/proof.ts";
import { sigstoreKey } from "../../../src/verify/sigstore_key/driver.ts";
import type { Subject, VerifyContext } from "../../../src/verify/types.ts";
import { type BundleJson, type FakeSigstore, fakeSigstore } from "../../fakes/sigstore.ts";
import { sigstoreCase } from "../../support/sigstore_cases.ts";
import { sha256Hex, subjectOf, verifyContext } from "../../support/subject.ts";

const APP = "app_linux_amd64.tar.gz";
const ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
const signal = new AbortController().signal;
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

let instance: FakeSigstore;
beforeAll(async () => {
  instance = await fakeSigstore();
});

const pemOf = (key: KeyObject): string =>
  createPublicKey(key).export({ type: "spki", format: "pem" }).toString();

function contextOf(files: Readonly<Record<string, string>> = {}): VerifyContext {
  return verifyContext({
    sigstoreRoots: async () => [instance.trustedRoot],
    readTextFile: async (path) => {
      const text = files[path];
      if (text === undefined) throw new Error(`${path} does not exist`);
      return text;
    },
  });
}

function verify(
  subject: Subject,
  key = pemOf(privateKey),
  context = contextOf({ "cosign.pub": key }),
): Promise<Proof> {
  return sigstoreKey.open("cosign.pub", context).verify(subject, signal);
}

const release = (bundle: BundleJson, content = "bytes"): Subject =>
  subjectOf({ [APP]: content, [`${APP}.sigstore.json`]: JSON.stringify(bundle) });

describe("sigstore-key", () => {
  test("proves the key that has signed, when, and in which log", async () => {
    const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
    const fingerprint = Buffer.from(sha256Hex(spki), "hex").toString("base64");
    expect(await verify(release(await instance.signFileWith(privateKey, "bytes")))).toEqual({
      kind: "sigstore-key",
      evidence: `${APP}.sigstore.json`,
      checksums: undefined,
      signer: `SHA256:${fingerprint}`,
      signedAt: expect.any(String),
      log: expect.stringMatching(/^rekor\.example \d+$/),
    });
  });

  test("takes the key itself, where there are no files", async () => {
    const context = verifyContext({ sigstoreRoots: async () => [instance.trustedRoot] });
    const verifier = sigstoreKey.open(pemOf(privateKey), context);
    const subject = release(await instance.signFileWith(privateKey, "bytes"));
    expect(await verifier.verify(subject, signal)).toMatchObject({ kind: "sigstore-key" });
  });

  test("does not read the artifact again", async () => {
    const bundle = await instance.signFileWith(privateKey, "bytes");
    const open = () => {
      throw new Error("read");
    };
    expect(await verify({ ...release(bundle), open })).toMatchObject({ kind: "sigstore-key" });
  });

  test.each([
    ["P-384", () => generateKeyPairSync("ec", { namedCurve: "P-384" })],
    ["RSA", () => generateKeyPairSync("rsa", { modulusLength: 2048 })],
  ])("verifies a key of %s", async (_, generate) => {
    const key = generate().privateKey;
    const bundle = await instance.signFileWith(key, "bytes");
    expect(await verify(release(bundle), pemOf(key))).toMatchObject({ kind: "sigstore-key" });
    await expect(verify(release(bundle, "other"), pemOf(key))).rejects.toThrow("another digest");
  });

  test.each(["sha384", "sha512"] as const)(
    "reads the artifact to hash it with %s",
    async (hash) => {
      const key = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
      const subject = release(await instance.signFileWith(key, "bytes", hash));
      expect(await verify(subject, pemOf(key))).toMatchObject({ kind: "sigstore-key" });
      const changed = { ...subject, open: () => new Blob(["other"]).stream() };
      await expect(verify(changed, pemOf(key))).rejects.toThrow("the file has changed");
      const other = release(await instance.signFileWith(key, "other", hash));
      await expect(verify(other, pemOf(key))).rejects.toThrow("another digest");
      await expect(verify({ ...subject, open: undefined }, pemOf(key))).rejects.toThrow(
        "its hash needs the file, not only its digest",
      );
    },
  );

  test("does not take a key of Ed25519 for files", async () => {
    const key = generateKeyPairSync("ed25519").privateKey;
    const bundle = await instance.signFileWith(key, "bytes");
    await expect(verify(release(bundle), pemOf(key))).rejects.toThrow(
      "a key of Ed25519 can sign attestations, not files; use one of ECDSA",
    );
  });

  test("refuses another key", async () => {
    const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const bundle = await instance.signFileWith(stranger, "bytes");
    await expect(verify(release(bundle))).rejects.toThrow(
      "the log entry is about another certificate or key",
    );
  });

  test("refuses another key without a log as well", async () => {
    const other = await fakeSigstore({ hasLogs: false });
    const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const context = {
      ...contextOf({ "cosign.pub": pemOf(privateKey) }),
      sigstoreRoots: async () => [other.trustedRoot],
    };
    const bundleOf = async (key: KeyObject): Promise<Subject> =>
      release(await other.signFileWith(key, "bytes"));
    expect((await verify(await bundleOf(privateKey), "", context)).log).toBeUndefined();
    await expect(verify(await bundleOf(stranger), "", context)).rejects.toThrow(
      "the signature is wrong, or made with another key",
    );
  });

  test("refuses a bundle that has no log entry, if the root names logs", async () => {
    const bundle = await instance.signFileWith(privateKey, "bytes");
    bundle.verificationMaterial.tlogEntries = [];
    await expect(verify(release(bundle))).rejects.toThrow("it has no entry of a transparency log");
  });

  test("refuses a bundle with a certificate", async () => {
    await expect(verify(release(await instance.signFile("bytes")))).rejects.toThrow(
      "it is signed with a certificate, not with a key",
    );
  });

  test("says how to sign a release that has no bundle", async () => {
    await expect(verify(subjectOf({ [APP]: "bytes" }))).rejects.toThrow(
      `sign it in CI: cosign sign-blob --yes --key cosign.key --bundle ${APP}.sigstore.json ${APP}`,
    );
  });

  test("names a key file that cannot be used, and reads it again the next time", async () => {
    const files: Record<string, string> = {};
    const verifier = sigstoreKey.open("cosign.pub", contextOf(files));
    const subject = release(await instance.signFileWith(privateKey, "bytes"));
    await expect(verifier.verify(subject, signal)).rejects.toMatchObject({
      code: "unverified",
      fault: "operator",
      message: 'Cannot read "cosign.pub" for sigstore-key: cosign.pub does not exist',
    });
    files["cosign.pub"] = "not a key";
    await expect(verifier.verify(subject, signal)).rejects.toThrow(
      'Cannot use "cosign.pub" for sigstore-key: it is not a public key in PEM',
    );
    files["cosign.pub"] = pemOf(privateKey);
    expect(await verifier.verify(subject, signal)).toMatchObject({ kind: "sigstore-key" });
  });

  test("needs a key", () => {
    expect(() => sigstoreKey.open("", contextOf())).toThrow(
      expect.objectContaining({ code: "config" }),
    );
  });

  test("uses the root in the package, where there is no other", async () => {
    const { bundle } = sigstoreCase("managed-key-no-key_fail");
    const context = verifyContext();
    const verifier = sigstoreKey.open(pemOf(privateKey), context);
    const subject = subjectOf({ [APP]: "bytes", [`${APP}.sigstore`]: bundle });
    // The entry is in Sigstore's log, but about another key.
    await expect(verifier.verify(subject, signal)).rejects.toThrow(
      "the log entry is about another certificate or key",
    );
  });
});

describe("the trusted root of a file", () => {
  const files = (root: string): Readonly<Record<string, string>> => ({
    "cosign.pub": pemOf(privateKey),
    "root.json": root,
  });
  const verifyWith = async (root: string): Promise<Proof> => {
    const context = { ...contextOf(files(root)), trustedRoot: "root.json" };
    return verify(release(await instance.signFileWith(privateKey, "bytes")), "", context);
  };

  test("is used instead of the refreshed one", async () => {
    const { trustedRoot } = await fakeSigstore();
    expect(await verifyWith(JSON.stringify(instance.trustedRoot, null, 2))).toBeDefined();
    await expect(verifyWith(JSON.stringify(trustedRoot))).rejects.toThrow("its log is not in");
  });

  test("may be several roots, as lines", async () => {
    const { trustedRoot } = await fakeSigstore();
    const lines = [trustedRoot, instance.trustedRoot].map((root) => JSON.stringify(root));
    expect(await verifyWith(`${lines.join("\n")}\n`)).toBeDefined();
  });

  test.each(["", "{", "{}", "[]", "null", `{"mediaType":"${ROOT_TYPE}","tlogs":[{}]}`])(
    "is not %j",
    async (text) => {
      await expect(verifyWith(text)).rejects.toMatchObject({
        code: "unverified",
        message: expect.stringMatching(
          /^Cannot use "root.json" as the trusted root of Sigstore: .+/,
        ),
      });
    },
  );
});
