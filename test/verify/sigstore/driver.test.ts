import { beforeAll, describe, expect, test } from "vitest";
import type { Proof } from "../../../src/core/proof.ts";
import { sigstore } from "../../../src/verify/sigstore/driver.ts";
import type { Subject, VerifyContext } from "../../../src/verify/types.ts";
import {
  type BundleJson,
  type FakeSigstore,
  fakeSigstore,
  ISSUER,
  SIGNER,
  WORKFLOW,
} from "../../fakes/sigstore.ts";
import { sha256Hex, subjectOf, verifyContext } from "../../support/subject.ts";

const APP = "app_linux_amd64.tar.gz";
const RULE = `${WORKFLOW},${ISSUER}`;
const signal = new AbortController().signal;

let instance: FakeSigstore;
beforeAll(async () => {
  instance = await fakeSigstore();
});

function contextOf(...roots: object[]): VerifyContext {
  const used = roots.length === 0 ? [instance.trustedRoot] : roots;
  return verifyContext({ sigstoreRoots: async () => used });
}

function verify(subject: Subject, rule = RULE, context = contextOf()): Promise<Proof> {
  return sigstore.open(rule, context).verify(subject, signal);
}

const release = (bundle: BundleJson, content = "bytes", suffix = ".sigstore.json"): Subject =>
  subjectOf({ [APP]: content, [APP + suffix]: JSON.stringify(bundle) });

describe("sigstore", () => {
  test("proves who has signed the artifact, when, and in which log", async () => {
    const before = Date.now() - 1_000;
    const proof = await verify(release(await instance.signFile("bytes")));
    expect(proof).toEqual({
      kind: "sigstore",
      evidence: `${APP}.sigstore.json`,
      checksums: undefined,
      identity: SIGNER,
      signedAt: expect.any(String),
      log: expect.stringMatching(/^rekor\.example \d+$/),
    });
    expect(Date.parse(proof.signedAt ?? "")).toBeGreaterThan(before);
  });

  test.each([".sigstore.json", ".sigstore", ".bundle"])(
    "reads the bundle in *%s",
    async (suffix) => {
      const bundle = await instance.signFile("bytes");
      expect(await verify(release(bundle, "bytes", suffix))).toMatchObject({ identity: SIGNER });
    },
  );

  test("proves an attestation of the artifact", async () => {
    const subjects = [{ name: APP, sha256: sha256Hex("bytes") }];
    expect(await verify(release(await instance.attest(subjects)))).toMatchObject({
      identity: SIGNER,
    });
  });

  test("finds the artifact in an attestation of several files, which is named after none", async () => {
    const bundle = await instance.attest([
      { name: "other", sha256: sha256Hex("other") },
      { name: APP, sha256: sha256Hex("bytes") },
    ]);
    const files = { [APP]: "bytes", "attestation.sigstore.json": JSON.stringify(bundle) };
    expect(await verify(subjectOf(files))).toMatchObject({ evidence: "attestation.sigstore.json" });
  });

  test("does not take the bundle of another file", async () => {
    const bundle = await instance.signFile("bytes");
    const files = { [APP]: "bytes", other: "", "other.sigstore.json": JSON.stringify(bundle) };
    await expect(verify(subjectOf(files))).rejects.toThrow("has no Sigstore bundle");
  });

  describe("with a signed checksum file", () => {
    const verifyWith = async (
      checksums: string,
      { name = "SHA256SUMS", signed = checksums, artifact = "bytes" } = {},
    ): Promise<Proof> => {
      const bundle = JSON.stringify(await instance.signFile(signed));
      const files = { [APP]: artifact, [name]: checksums, [`${name}.sigstore.json`]: bundle };
      return verify(subjectOf(files));
    };
    const LINE = `${sha256Hex("bytes")}  ${APP}\n`;

    test.each([
      ["SHA256SUMS", `${sha256Hex("other")}  other\n${LINE}`],
      ["checksums.txt", LINE.replace("  ", " *")],
      ["app_1.0.0_checksums.txt", LINE.replace("  ", "  ./dist/")],
      ["sha256sum.txt", `SHA256 (${APP}) = ${sha256Hex("bytes")}\r\n`],
      [`${APP}.sha256`, sha256Hex("bytes").toUpperCase()],
    ])("named %s, takes the digest from it", async (name, checksums) => {
      expect(await verifyWith(checksums, { name })).toMatchObject({
        evidence: `${name}.sigstore.json`,
        checksums: name,
        identity: SIGNER,
      });
    });

    test("refuses another digest", async () => {
      await expect(verifyWith(LINE, { artifact: "other bytes" })).rejects.toThrow(
        `SHA256SUMS: it has another digest for "${APP}"`,
      );
    });

    test("refuses a checksum file that was changed", async () => {
      await expect(verifyWith(LINE, { signed: `${LINE}\n` })).rejects.toThrow("another digest");
    });

    test.each([
      ["lacks the artifact", `${sha256Hex("bytes")}  other\n`, "does not list"],
      ["only has a name that ends like it", `${sha256Hex("bytes")}  x${APP}\n`, "does not list"],
      ["has it twice", `${LINE}${sha256Hex("other")}  ${APP}\n`, "has several digests for"],
      ["has a digest without a name", sha256Hex("bytes"), "does not list"],
    ])("refuses one that %s", async (_, checksums, reason) => {
      await expect(verifyWith(checksums)).rejects.toThrow(`sigstore: SHA256SUMS: it ${reason}`);
    });
  });

  test("takes the first bundle that holds", async () => {
    const files = {
      [APP]: "bytes",
      [`${APP}.sigstore.json`]: "broken",
      [`${APP}.sigstore`]: JSON.stringify(await instance.signFile("bytes")),
    };
    expect(await verify(subjectOf(files))).toMatchObject({ evidence: `${APP}.sigstore` });
  });

  test("says how to sign a release that has no bundle", async () => {
    await expect(verify(subjectOf({ [APP]: "bytes" }))).rejects.toMatchObject({
      code: "unverified",
      retryable: true,
      message: `Cannot verify "${APP}" of v1.0.0 with sigstore: the release has no Sigstore bundle for it, nor for a checksum file that lists it; sign it in CI: cosign sign-blob --yes --bundle ${APP}.sigstore.json ${APP}`,
    });
  });

  test("says what to do about a bundle that does not hold", async () => {
    const files = { [APP]: "bytes", [`${APP}.sigstore`]: "broken", "other.sigstore": "{}" };
    await expect(verify(subjectOf(files))).rejects.toThrow(
      `sigstore: ${APP}.sigstore: it is not JSON (and 1 more); find out who has published it, or sign it again in CI: cosign`,
    );
  });

  test("refuses another artifact with the signature of this one", async () => {
    const bundle = await instance.signFile("bytes");
    await expect(verify(release(bundle, "other bytes"))).rejects.toThrow(
      "the signature is of a file with another digest",
    );
    const attestation = await instance.attest([{ name: APP, sha256: sha256Hex("bytes") }]);
    await expect(verify(release(attestation, "other bytes"))).rejects.toThrow(
      "the attestation is about other files",
    );
  });

  test.each([
    [
      "workflow",
      { subject: "https://github.com/acme/app/.github/workflows/test.yml@refs/tags/v1" },
    ],
    ["repository", { subject: WORKFLOW.replace("acme", "evil") }],
    ["issuer", { issuer: "https://token.actions.evil.example" }],
  ])("refuses the signature of another %s, and says whose it is", async (_, signer) => {
    const { subject, issuer } = { ...SIGNER, ...signer };
    const found = issuer === ISSUER ? subject : `${subject} of ${issuer}`;
    const wanted = issuer === ISSUER ? WORKFLOW : `${WORKFLOW} of ${ISSUER}`;
    await expect(verify(release(await instance.signFile("bytes", signer)))).rejects.toThrow(
      `${APP}.sigstore.json: it is signed by ${found}, not by ${wanted}`,
    );
  });

  test("refuses an expired certificate, and one that was not valid yet", async () => {
    for (const hours of [-24, 24]) {
      const issuedAt = new Date(Date.now() + hours * 3_600_000);
      const other = await fakeSigstore({ issuedAt });
      const bundle = await other.signFile("bytes");
      await expect(verify(release(bundle), RULE, contextOf(other.trustedRoot))).rejects.toThrow(
        "its certificate is not trusted: certificate is not valid or expired",
      );
    }
  });

  test("refuses the certificate of another authority", async () => {
    const { certificateAuthorities } = (await fakeSigstore()).trustedRoot as BundleJson;
    const root = { ...instance.trustedRoot, certificateAuthorities };
    await expect(
      verify(release(await instance.signFile("bytes")), RULE, contextOf(root)),
    ).rejects.toThrow("its certificate is not trusted: no valid certificate path found");
  });

  test("refuses the entry of another log", async () => {
    const { tlogs } = (await fakeSigstore()).trustedRoot as BundleJson;
    const root = { ...instance.trustedRoot, tlogs };
    await expect(
      verify(release(await instance.signFile("bytes")), RULE, contextOf(root)),
    ).rejects.toThrow("its log is not in the trusted root");
  });

  test("requires logs and certificate logs, if the root names them", async () => {
    const bundle = await instance.signFile("bytes");
    const unlogged = structuredClone(bundle);
    unlogged.verificationMaterial.tlogEntries = [];
    await expect(verify(release(unlogged))).rejects.toThrow(
      "it has no entry of a transparency log",
    );
    const invalid = structuredClone(instance.trustedRoot) as BundleJson;
    for (const { publicKey } of invalid.ctlogs) publicKey.validFor = {};
    await expect(verify(release(bundle), RULE, contextOf(invalid))).rejects.toThrow(
      "its certificate is not trusted: SCT verification failed",
    );
  });

  test("refuses a certificate that is in no log, if the root names some", async () => {
    const other = await fakeSigstore({ hasLogs: false });
    const { ctlogs } = instance.trustedRoot as BundleJson;
    const context = contextOf({ ...other.trustedRoot, ctlogs });
    await expect(verify(release(await other.signFile("bytes")), RULE, context)).rejects.toThrow(
      "its certificate is not trusted: expected 1 SCTs, got 0",
    );
  });

  test("refuses an attestation that is signed by another key, and other kinds of envelopes", async () => {
    const other = await fakeSigstore({ hasLogs: false });
    const context = contextOf(other.trustedRoot);
    const subjects = [{ name: APP, sha256: sha256Hex("bytes") }];
    const bundle = await other.attest(subjects);
    const stranger = await other.attest(subjects);
    bundle.dsseEnvelope.signatures = stranger.dsseEnvelope.signatures;
    await expect(verify(release(bundle), RULE, context)).rejects.toThrow(
      "the signature is wrong, or made with another key",
    );
    const text = await other.attest(subjects, { payloadType: "text/plain" });
    await expect(verify(release(text), RULE, context)).rejects.toThrow(
      "the envelope has text/plain, not an in-toto statement",
    );
  });

  test("verifies by timestamps alone for an instance without logs", async () => {
    const other = await fakeSigstore({ hasLogs: false });
    const bundle = await other.signFile("bytes");
    const context = contextOf(other.trustedRoot);
    const proof = await verify(release(bundle), RULE, context);
    expect(proof).toMatchObject({ identity: SIGNER, signedAt: expect.any(String) });
    expect(proof.log).toBeUndefined();
    const stripped = structuredClone(bundle);
    stripped.verificationMaterial.timestampVerificationData.rfc3161Timestamps = [];
    await expect(verify(release(stripped), RULE, context)).rejects.toThrow(
      "the time of its signature is not proved: expected 1 timestamps, got 0",
    );
  });

  test("tries each of several roots", async () => {
    const other = await fakeSigstore({ hasLogs: false });
    const context = contextOf(instance.trustedRoot, other.trustedRoot);
    expect(await verify(release(await other.signFile("bytes")), RULE, context)).toMatchObject({
      identity: SIGNER,
    });
  });

  test("refuses a log entry about another certificate, although the signature is the same", async () => {
    const bundle = await instance.signFile("bytes");
    const stranger = await instance.signFile("bytes");
    bundle.verificationMaterial.certificate = stranger.verificationMaterial.certificate;
    await expect(verify(release(bundle))).rejects.toThrow(
      "the log entry is about another certificate or key",
    );
  });

  test("refuses a timestamp from a time at which the log's key was not valid", async () => {
    const bundle = await instance.signFile("bytes");
    const [entry] = bundle.verificationMaterial.tlogEntries;
    const signedAt = Number(entry.integratedTime) * 1_000;
    // As Rekor v2: a proof, and the time from a timestamp.
    Object.assign(entry, { inclusionPromise: null, integratedTime: "0", logIndex: "0" });
    const rootUntil = (end: number): object => {
      const root = structuredClone(instance.trustedRoot) as BundleJson;
      root.tlogs[0].publicKey.validFor.end = new Date(end).toISOString();
      return root;
    };
    const accepting = contextOf(rootUntil(signedAt + 60_000));
    expect(await verify(release(bundle), RULE, accepting)).toMatchObject({ identity: SIGNER });
    const refusing = contextOf(rootUntil(signedAt - 60_000));
    await expect(verify(release(bundle), RULE, refusing)).rejects.toThrow(
      "the key of rekor.example was not valid at",
    );
  });

  test("refuses a bundle that is too large, by the limit of the read", async () => {
    const files = { [APP]: "bytes", [`${APP}.sigstore`]: "x".repeat(4 * 2 ** 20 + 1) };
    await expect(verify(subjectOf(files))).rejects.toThrow(`no ${APP}.sigstore`);
  });

  test("stops when it is aborted", async () => {
    const bundle = await instance.signFile("bytes");
    const verifier = sigstore.open(RULE, contextOf());
    await expect(
      verifier.verify(release(bundle), AbortSignal.abort(new Error("stop"))),
    ).rejects.toThrow("stop");
  });
});

describe("a release without a rule", () => {
  const offered = (subject: Subject): Promise<readonly Proof[]> =>
    sigstore.offered?.(subject, contextOf(), signal) ?? Promise.resolve([]);

  test("offers the proof of any signer", async () => {
    const subject = "https://github.com/other/app/.github/workflows/x.yml@refs/heads/main";
    const bundle = await instance.signFile("bytes", { subject });
    expect(await offered(release(bundle))).toMatchObject([{ identity: { subject } }]);
  });

  test("offers nothing without a bundle, or with one by a key", async () => {
    expect(await offered(subjectOf({ [APP]: "bytes" }))).toEqual([]);
    expect(await offered(release("not a bundle"))).toEqual([]);
  });

  test("fails if what it offers does not hold", async () => {
    const bundle = await instance.signFile("other bytes");
    await expect(offered(release(bundle))).rejects.toMatchObject({ code: "unverified" });
  });
});

test("a changed character anywhere in the bundle is refused", async () => {
  const bundle = await instance.signFile("bytes");
  // Parts of a timestamp's encoding are not signed and prove nothing, such as its version.
  bundle.verificationMaterial.timestampVerificationData = {};
  const text = JSON.stringify(bundle);
  const verifier = sigstore.open(RULE, contextOf());
  const step = Math.ceil(text.length / 100);
  const accepted: string[] = [];
  for (let at = Math.floor(Math.random() * step); at < text.length; at += step) {
    const changed = text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
    const subject = subjectOf({ [APP]: "bytes", [`${APP}.sigstore.json`]: changed });
    const result = await verifier.verify(subject, signal).catch((error: Error) => error);
    if (!(result instanceof Error)) accepted.push(`${at}: ${text.slice(at - 20, at + 5)}`);
  }
  expect(accepted).toEqual([]);
});
