import { describe, expect, test } from "vitest";
import type { Proof } from "../../../src/core/proof.ts";
import { sigstore } from "../../../src/verify/sigstore/driver.ts";
import { sigstoreKey } from "../../../src/verify/sigstore_key/driver.ts";
import {
  readSigstoreCases,
  type SigstoreCase,
  sigstoreCase,
} from "../../support/sigstore_cases.ts";
import { subjectOf, verifyContext } from "../../support/subject.ts";

const signal = new AbortController().signal;

function verify({ bundle, artifact, identity, issuer, key, root }: SigstoreCase): Promise<Proof> {
  const files: Record<string, string> = { "root.json": JSON.stringify(root), "key.pub": key ?? "" };
  const context = verifyContext({
    trustedRoot: "root.json",
    readTextFile: async (path) => files[path] ?? "",
  });
  const verifier =
    key === undefined
      ? sigstore.open(`${identity},${issuer}`, context)
      : sigstoreKey.open("key.pub", context);
  return verifier.verify(subjectOf({ "a.txt": artifact, "a.txt.sigstore.json": bundle }), signal);
}

/** Why each case is refused. */
const REASONS: Readonly<Record<string, RegExp>> = {
  "bundle-empty-certificate-chain_fail": /the certificate chain is empty/,
  "bundle-malformed-json_fail": /it is not JSON/,
  "bundle-with-root-cert_fail": /has a root certificate/,
  "checkpoint-bad-keyhint_fail": /the checkpoint is not signed by rekor.sigstore.dev/,
  "checkpoint-wrong-roothash_fail": /the inclusion proof does not lead to the checkpoint/,
  "inclusion-proof-corrupted-hash_fail": /the inclusion proof does not lead to the checkpoint/,
  "incorrect-public-key_fail": /signed entry timestamp does not match/,
  "intoto-log-entry-mismatch_fail": /the log entry is about another signature/,
  "invalid-checkpoint-signature_fail": /the checkpoint is not signed by rekor.sigstore.dev/,
  "managed-key-no-key_fail": /it is signed with a key, not by an identity/,
  "managed-key-wrong-key_fail": /is not a public key in PEM/,
  "message-digest-mismatch_fail": /the log entry is about other content/,
  "rekor2-checkpoint-missing-log-signature_fail": /the checkpoint is not signed by log2025/,
  "rekor2-checkpoint-missing-origin_fail": /the checkpoint is malformed/,
  "rekor2-checkpoint-missing-root-hash_fail": /the checkpoint is malformed/,
  "rekor2-dsse-mismatch-envelope_fail": /the log entry is about another signature/,
  "rekor2-timestamp-outside-trust-root-tsa-validity_fail": /time of its signature is not proved/,
  "rekor2-timestamp-outside-tsa-cert-validity_fail": /time of its signature is not proved/,
  "rekor2-timestamp-payload-mismatch_fail": /time of its signature is not proved/,
  "rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail":
    /time of its signature is not proved/,
  "rekor2-timestamp-with-incorrect-time_fail":
    /certificate is not trusted: certificate is not valid/,
  "wrong-hashedrekord-cert-and-sig_fail": /the log entry is about another signature/,
  "wrong-material_fail": /the signature is of a file with another digest/,
};

describe("the conformance suite", () => {
  const cases = readSigstoreCases();

  test.each(cases.filter(({ isRefused }) => !isRefused))("accepts $name", async (one) => {
    const proof = await verify(one);
    expect(proof.evidence).toBe("a.txt.sigstore.json");
    expect(proof.identity?.subject).toBe(one.identity);
  });

  test.each(cases.filter(({ isRefused }) => isRefused))("refuses $name", async (one) => {
    await expect(verify(one)).rejects.toMatchObject({
      code: "unverified",
      message: expect.stringMatching(REASONS[one.name] ?? /^never$/),
    });
  });
});

describe("rules beyond the library", () => {
  test("a log key without a start of validity is not valid", async () => {
    const one = sigstoreCase("happy-path-v0.3");
    const root = structuredClone(one.root) as { tlogs: { publicKey: { validFor: object } }[] };
    for (const { publicKey } of root.tlogs) publicKey.validFor = {};
    await expect(verify({ ...one, root })).rejects.toThrow("its log is not in the trusted root");
  });
});
