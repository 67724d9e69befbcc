import { beforeAll, describe, expect, test } from "vitest";
import { RemoteError } from "../../../src/core/error.ts";
import type { GitHubEvidence, Proof } from "../../../src/core/proof.ts";
import { github } from "../../../src/verify/github/driver.ts";
import type { Subject, VerifyContext } from "../../../src/verify/types.ts";
import {
  type AttestOptions,
  type BundleJson,
  type FakeSigstore,
  fakeSigstore,
  ISSUER,
  SIGNER,
  WORKFLOW,
} from "../../fakes/sigstore.ts";
import { sha256Hex, subjectOf, verifyContext } from "../../support/subject.ts";

const APP = "app_linux_amd64.tar.gz";
const REPOSITORY = "acme/app";
const RELEASE: AttestOptions = {
  issuer: "",
  subject: "https://dotcom.releases.github.com",
  predicateType: "https://in-toto.io/attestation/release/v0.2",
  predicate: { repository: REPOSITORY, tag: "v1.0.0" },
};
const signal = new AbortController().signal;

let publicGood: FakeSigstore;
/** GitHub's own instance, for private repositories and releases. */
let ofGitHub: FakeSigstore;
beforeAll(async () => {
  [publicGood, ofGitHub] = await Promise.all([fakeSigstore(), fakeSigstore({ hasLogs: false })]);
});

const attest = (options?: AttestOptions, content = "bytes"): Promise<BundleJson> =>
  publicGood.attest([{ name: APP, sha256: sha256Hex(content) }], options);

const attestByGitHub = (options?: AttestOptions): Promise<BundleJson> =>
  ofGitHub.attest([{ name: APP, sha256: sha256Hex("bytes") }], options);

function contextOf(list: GitHubEvidence["list"], repository?: string): VerifyContext {
  return verifyContext({
    sigstoreRoots: async () => [publicGood.trustedRoot],
    githubRoots: async () => [ofGitHub.trustedRoot],
    github: { list, repository },
  });
}

interface Options {
  rule?: string;
  subject?: Subject;
  /** What the attestations are about. Defaults to whatever is asked for. */
  about?: string;
}

const release = subjectOf({ [APP]: "bytes" });

function verify(
  bundles: readonly BundleJson[],
  { rule = REPOSITORY, subject = release, about }: Options = {},
): Promise<Proof> {
  const context = contextOf(async (_, sha256) =>
    about === undefined || sha256 === sha256Hex(about) ? bundles : [],
  );
  return github.open(rule, context).verify(subject, signal);
}

describe("github", () => {
  test("proves which workflow of the repository has built the artifact", async () => {
    expect(await verify([await attest()])).toEqual({
      kind: "github",
      evidence: "attestation of acme/app on GitHub",
      checksums: undefined,
      identity: SIGNER,
      signedAt: expect.any(String),
      log: expect.stringMatching(/^rekor\.example \d+$/),
    });
  });

  test.each(["acme/app@release.yml", "Acme/App@.github/workflows/release.yml"])(
    "takes an attestation of the workflow in %s, whatever its ref",
    async (rule) => {
      expect(await verify([await attest()], { rule })).toMatchObject({ kind: "github" });
    },
  );

  test("refuses another workflow of the repository", async () => {
    const bundle = await attest({ subject: `${WORKFLOW.replace("release", "test")}@refs/tags/v1` });
    await expect(verify([bundle], { rule: "acme/app@release.yml" })).rejects.toMatchObject({
      code: "unverified",
      message: `Cannot verify "${APP}" of v1.0.0 with github: it is signed by ${WORKFLOW.replace("release", "test")}@refs/tags/v1, not by ${WORKFLOW}; find out who has published it, or attest it again in CI: uses: actions/attest-build-provenance@v3 with subject-path: ${APP}`,
    });
  });

  test("refuses a workflow of another repository, even if the name begins alike", async () => {
    for (const other of ["acme/app2", "evil/app"]) {
      const signer = {
        subject: `https://github.com/${other}/.github/workflows/release.yml@refs/tags/v1.0.0`,
        repository: `https://github.com/${other}`,
      };
      await expect(verify([await attest(signer)])).rejects.toThrow(
        `it is of the repository https://github.com/${other}, not acme/app`,
      );
    }
  });

  test("takes a reusable workflow of another repository only if the rule names it", async () => {
    const shared = "acme/shared/.github/workflows/build.yml";
    const bundle = await attest({ subject: `https://github.com/${shared}@refs/heads/main` });
    await expect(verify([bundle])).rejects.toThrow("not by https://github.com/acme/app/*");
    await expect(verify([bundle], { rule: "acme/app@build.yml" })).rejects.toThrow("not by");
    expect(await verify([bundle], { rule: `acme/app@${shared}` })).toMatchObject({
      identity: { repository: "https://github.com/acme/app" },
    });
  });

  test("refuses another issuer", async () => {
    const bundle = await attest({ issuer: `${ISSUER}/enterprise` });
    await expect(verify([bundle])).rejects.toThrow("not by a workflow");
  });

  test("refuses other statements about the artifact, such as a failed test", async () => {
    const predicateType = "https://in-toto.io/attestation/test-result/v0.1";
    await expect(verify([await attest({ predicateType })])).rejects.toThrow(
      `it is of the type ${predicateType}, not https://slsa.dev/provenance/*`,
    );
  });

  test("refuses an attestation of other bytes", async () => {
    await expect(verify([await attest({}, "other bytes")])).rejects.toThrow("about other files");
  });

  test("refuses an attestation whose statement was changed", async () => {
    const bundle = await attest();
    const payload = Buffer.from(bundle.dsseEnvelope.payload, "base64").toString();
    const changed = payload.replace(sha256Hex("bytes"), sha256Hex("evil"));
    bundle.dsseEnvelope.payload = Buffer.from(changed).toString("base64");
    await expect(verify([bundle], { subject: subjectOf({ [APP]: "evil" }) })).rejects.toMatchObject(
      { code: "unverified" },
    );
  });

  test("takes the one that holds among others", async () => {
    const sbom = await attest({ predicateType: "https://spdx.dev/Document/v2.3" });
    expect(await verify([sbom, null, await attest()])).toMatchObject({ identity: SIGNER });
  });

  test("verifies private repositories with the root of GitHub, and only with that", async () => {
    expect(await verify([await attestByGitHub()])).toMatchObject({ identity: SIGNER });
    const bundle = await attest();
    bundle.verificationMaterial.tlogEntries = [];
    await expect(verify([bundle])).rejects.toThrow("the time of its signature is not proved");
  });

  test("takes the attestation of a checksum file that lists the artifact", async () => {
    const checksums = `${sha256Hex("bytes")}  ${APP}\n`;
    const subject = subjectOf({ [APP]: "bytes", "checksums.txt": checksums });
    const bundle = await attest({}, checksums);
    expect(await verify([bundle], { subject, about: checksums })).toMatchObject({
      checksums: "checksums.txt",
    });
    const other = subjectOf({ [APP]: "evil", "checksums.txt": checksums });
    await expect(verify([bundle], { subject: other, about: checksums })).rejects.toMatchObject({
      code: "unverified",
    });
  });

  test("says how to attest an artifact without any attestation", async () => {
    await expect(verify([])).rejects.toThrow(
      `Cannot verify "${APP}" of v1.0.0 with github: GitHub shows no attestation of it in acme/app; a token for a private repository needs the permission "Attestations: read"; attest it in CI: uses: actions/attest-build-provenance@v3 with subject-path: ${APP}`,
    );
  });

  test.each([
    "",
    "acme",
    "acme/app/more",
    "../app",
    "acme/..",
    "acme/app@release",
    "acme/app@",
    "acme/app@release.yml@refs/heads/main",
  ])("is not %j", (rule) => {
    expect(() => github.open(rule, verifyContext())).toThrow(
      "Invalid value for --verify: github=OWNER/REPO[@WORKFLOW]",
    );
  });
});

describe("the attestation of an immutable release", () => {
  test("proves that the artifact is of this release of the repository", async () => {
    expect(await verify([await attestByGitHub(RELEASE)])).toMatchObject({
      identity: { subject: RELEASE.subject, repository: "https://github.com/acme/app" },
    });
  });

  test("is not enough for a rule that names a workflow", async () => {
    const bundles = [await attestByGitHub(RELEASE)];
    await expect(verify(bundles, { rule: "acme/app@release.yml" })).rejects.toThrow(
      "it attests a release, not the workflow acme/app/.github/workflows/release.yml",
    );
  });

  test("is refused for an old release that was published again as a newer one", async () => {
    const predicate = { repository: REPOSITORY, tag: "v0.9.0" };
    await expect(verify([await attestByGitHub({ ...RELEASE, predicate })])).rejects.toThrow(
      "it is of the release v0.9.0, not v1.0.0",
    );
  });

  test("is refused for another repository", async () => {
    const predicate = { repository: "evil/app", tag: "v1.0.0" };
    await expect(verify([await attestByGitHub({ ...RELEASE, predicate })])).rejects.toThrow(
      "it is a release of evil/app, not acme/app",
    );
  });

  test("is refused if a workflow has signed it, of whatever repository", async () => {
    const { predicateType, predicate } = RELEASE;
    await expect(verify([await attest({ predicateType, predicate })])).rejects.toThrow(
      "it is of the type",
    );
    const evil = { repository: "https://github.com/evil/app", predicateType, predicate };
    await expect(verify([await attest(evil)])).rejects.toThrow("it is of the repository");
    const disguised = { ...RELEASE, issuer: ISSUER, repository: "https://github.com/evil/app" };
    await expect(verify([await attest(disguised)])).rejects.toThrow("it is of the repository");
  });
});

describe("auto", () => {
  const offered = (context: VerifyContext): Promise<readonly Proof[]> =>
    github.offered?.(release, context, signal) ?? Promise.resolve([]);

  test("does not ask without a ghr:// registry", async () => {
    expect(await offered(contextOf(() => Promise.reject(new Error("asked"))))).toEqual([]);
    expect(await offered(verifyContext())).toEqual([]);
  });

  test("finds nothing where there are no attestations", async () => {
    expect(await offered(contextOf(async () => [], REPOSITORY))).toEqual([]);
  });

  test("finds the workflow and the release", async () => {
    const bundles = [await attest(), await attestByGitHub(RELEASE)];
    const proofs = await offered(contextOf(async () => bundles, REPOSITORY));
    expect(proofs.map(({ identity }) => identity?.subject)).toEqual([
      SIGNER.subject,
      RELEASE.subject,
    ]);
  });

  test("fails if no attestation holds", async () => {
    const bundles = [await attest({}, "other bytes")];
    await expect(offered(contextOf(async () => bundles, REPOSITORY))).rejects.toMatchObject({
      code: "unverified",
    });
  });

  test("reports that GitHub does not answer as such, so that it does not block", async () => {
    const down = (): Promise<never> => Promise.reject(new RemoteError("GitHub does not answer"));
    await expect(offered(contextOf(down, REPOSITORY))).rejects.toBeInstanceOf(RemoteError);
    expect(github.isService).toBe(true);
  });
});
