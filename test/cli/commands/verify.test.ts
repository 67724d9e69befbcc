import { generateKeyPairSync } from "node:crypto";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { run } from "../../../src/cli/run.ts";
import { openRegistry } from "../../../src/registries/open.ts";
import { attachSignatures, signImage } from "../../fakes/image_signatures.ts";
import { fakeOci } from "../../fakes/oci.ts";
import { serveFetch } from "../../fakes/serve.ts";
import {
  cosignAnnotations,
  fakeSigstore,
  ISSUER,
  simplePayload,
  WORKFLOW,
} from "../../fakes/sigstore.ts";
import { missingDockerRegistry, startDockerRegistry } from "../../peers/docker_registry.ts";

import { missingPeer } from "../../peers/missing_peer.ts";
import { minisignKey, sshKey } from "../../support/signing.ts";
import { sha256Hex } from "../../support/subject.ts";
import { tempDirectory } from "../../support/temp_directory.ts";
import { fakeProcess } from "../process.ts";

const APP = "app_linux_amd64.tar.gz";
const PLATFORM = ["--platform", "linux/amd64"];
const CHECKSUMS = ["--verify", "checksums"];

interface Output {
  code: number;
  out: string;
  err: string;
}

async function dewy(argv: readonly string[], env: Record<string, string> = {}): Promise<Output> {
  const io = fakeProcess({ env });
  const code = await run(argv, io);
  return { code, out: io.out(), err: io.err() };
}

async function json(...argv: readonly string[]): Promise<[code: number, json: unknown]> {
  const { code, out } = await dewy([...argv, "--json"]);
  return [code, JSON.parse(out)];
}

/** A directory with these files. */
async function directoryOf(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const directory = await tempDirectory();
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(directory, name, ".."), { recursive: true });
    await writeFile(join(directory, name), content);
  }
  return directory;
}

const sumsOf = (content: string): string => `${sha256Hex(content)}  ${APP}\n`;

/** Two versions, the second one without a checksum file. */
function registry(): Promise<string> {
  return directoryOf({
    [`v1.0.0/${APP}`]: "old",
    "v1.0.0/SHA256SUMS": sumsOf("old"),
    [`v1.1.0/${APP}`]: "new",
  });
}

const missingRegistry = missingDockerRegistry();

describe.skipIf(missingRegistry !== undefined)(
  `dewy verify of an image${missingRegistry === undefined ? "" : ` (${missingRegistry})`}`,
  () => {
    test("reads its signatures, without a pull", async () => {
      const instance = await fakeSigstore();
      const server = await startDockerRegistry();
      onTestFinished(() => server.stop());
      await server.pushIndex("app", "v1.0.0", ["linux/amd64", "linux/arm64"]);
      const url = `img://${server.host}/app`;
      const root = await directoryOf({ "root.json": JSON.stringify(instance.trustedRoot) });
      const flags = [...PLATFORM, "--trusted-root", join(root, "root.json")];
      const rule = ["--verify", `sigstore=${WORKFLOW},${ISSUER}`];

      const unsigned = await dewy(["verify", url, ...flags, ...rule]);
      expect(unsigned.code).toBe(2);
      expect(unsigned.err).toContain("the registry has no signature for it; sign it in CI: cosign");
      expect(await json("check", url, ...PLATFORM, "--verify", "auto")).toMatchObject([
        0,
        { verification: { verdict: "unsigned" } },
      ]);

      const index = await digestOf(url);
      const signature = await signImage(instance, index);
      await attachSignatures(server.publisher("app"), index, [signature]);
      for (const policy of [rule, []]) {
        expect(await json("verify", url, ...flags, ...policy)).toMatchObject([
          0,
          { artifact: "app:v1.0.0", size: null, proofs: [{ kind: "sigstore", checksums: index }] },
        ]);
      }
      const [code, explained] = await json("explain", url, ...flags, ...rule);
      expect([code, explained]).toMatchObject([0, { verification: { verdict: "verified" } }]);

      const wrong = `sigstore=${WORKFLOW.replace("acme", "evil")},${ISSUER}`;
      const refused = await dewy(["verify", url, ...flags, "--verify", wrong]);
      expect(refused.code).toBe(2);
      expect(refused.err).toContain("acme/app");
    });
  },
);

/** The digest of the newest tag, an index. */
async function digestOf(url: string): Promise<string> {
  const found = await openRegistry(url, { platform: { os: "linux", arch: "amd64" } }).resolve();
  if (found.kind !== "ready") throw new Error(JSON.stringify(found));
  return found.artifact.revision ?? "";
}

describe("dewy verify of a file", () => {
  test("shows what was proved by the files beside it", async () => {
    const directory = await directoryOf({ [APP]: "bytes", SHA256SUMS: sumsOf("bytes") });
    expect(await dewy(["verify", join(directory, APP), ...CHECKSUMS])).toEqual({
      code: 0,
      err: "",
      out: [
        `verified  ${APP}`,
        "size      5 B",
        `digest    sha256:${sha256Hex("bytes")}`,
        "",
        "checksums",
        "  evidence  SHA256SUMS",
        "  covers    SHA256SUMS, which lists the artifact",
        "",
      ].join("\n"),
    });
  });

  test("refuses a changed byte with exit code 2", async () => {
    const directory = await directoryOf({ [APP]: "byteS", SHA256SUMS: sumsOf("bytes") });
    const { code, out, err } = await dewy(["verify", join(directory, APP), ...CHECKSUMS]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(`it has another digest for "${APP}"`);
  });

  test.skipIf(missingPeer(["minisign"], "minisign"))("names the key in JSON", async () => {
    const { publicKey, sign } = await minisignKey();
    const directory = await directoryOf({
      [APP]: "bytes",
      [`${APP}.minisig`]: await sign(APP, "bytes"),
      "minisign.pub": publicKey,
    });
    const key = join(directory, "minisign.pub");
    expect(await json("verify", join(directory, APP), "--verify", `minisign=${key}`)).toEqual([
      0,
      {
        kind: "verified",
        tag: null,
        artifact: APP,
        digest: `sha256:${sha256Hex("bytes")}`,
        size: 5,
        proofs: [
          {
            kind: "minisign",
            evidence: `${APP}.minisig`,
            checksums: null,
            signer: expect.stringMatching(/^[0-9A-F]+$/),
            identity: null,
            signedAt: expect.any(String),
            log: null,
          },
        ],
      },
    ]);
  });

  test("takes evidence from elsewhere before that beside the file", async () => {
    const directory = await directoryOf({ [APP]: "bytes", SHA256SUMS: sumsOf("other") });
    const elsewhere = await directoryOf({ SHA256SUMS: sumsOf("bytes") });
    const argv = ["verify", join(directory, APP), ...CHECKSUMS];
    expect(await dewy(argv)).toMatchObject({ code: 2 });
    const evidence = ["--evidence", join(elsewhere, "SHA256SUMS")];
    expect(await dewy([...argv, ...evidence])).toMatchObject({ code: 0 });
  });

  test("knows a file by its digest", async () => {
    const digest = `sha256:${sha256Hex("bytes")}`;
    const directory = await directoryOf({
      "artifact.sha256": sha256Hex("bytes"),
      "wrong/artifact.sha256": sha256Hex("other"),
    });
    const evidence = (path: string) => ["--evidence", join(directory, path)];
    const argv = ["verify", digest, ...CHECKSUMS];
    expect(await dewy([...argv, ...evidence("artifact.sha256")])).toMatchObject({ code: 0 });
    expect(await dewy([...argv, ...evidence("wrong/artifact.sha256")])).toMatchObject({ code: 2 });
  });

  test("without a policy, fails where nothing is offered", async () => {
    const directory = await directoryOf({ [APP]: "bytes", SHA256SUMS: sumsOf("bytes") });
    const { code, err } = await dewy(["verify", join(directory, APP)]);
    expect(code).toBe(2);
    expect(err).toContain("name what it has with --verify, or sign it in CI");
  });

  test("without a policy, shows who has signed, and refuses what is wrong", async () => {
    const { sign } = await sshKey();
    const directory = await directoryOf({
      [APP]: "bytes",
      [`${APP}.sig`]: await sign(APP, "bytes"),
    });
    const signed = await dewy(["verify", join(directory, APP)]);
    expect(signed).toMatchObject({ code: 0, err: "" });
    expect(signed.out).toMatch(/^ +signer +SHA256:/m);
    await writeFile(join(directory, APP), "bytEs");
    const { code, err } = await dewy(["verify", join(directory, APP)]);
    expect(code).toBe(2);
    expect(err).toContain("the signature is wrong, or of another file");
  });

  test.each([
    [["--verify", "none"], 1, "it verifies nothing"],
    [["--verify", "minisgn=k"], 1, 'did you mean "minisign"?'],
    [["--tag", "v1.0.0"], 1, "only a registry has versions"],
    [["--evidence", "/no/such/file", ...CHECKSUMS], 2, "there is no such file"],
  ])("%j: an error that helps", async (flags, exitCode, reason) => {
    const directory = await directoryOf({ [APP]: "bytes" });
    const { code, err } = await dewy(["verify", join(directory, APP), ...flags]);
    expect(err).toContain(reason);
    expect(code).toBe(exitCode);
  });

  test("a directory is not a file", async () => {
    const { code, err } = await dewy(["verify", await tempDirectory(), ...CHECKSUMS]);
    expect(code).toBe(1);
    expect(err).toContain("it is not a file");
  });
});

describe("dewy verify of a registry", () => {
  test("verifies the newest version, or the tag that is asked for", async () => {
    const url = `file://${await registry()}`;
    const newest = await dewy(["verify", url, ...PLATFORM, ...CHECKSUMS]);
    expect(newest).toMatchObject({ code: 2, out: "" });
    expect(newest.err).toContain(`"${APP}" of v1.1.0`);
    const [code, older] = await json("verify", url, ...PLATFORM, ...CHECKSUMS, "--tag", "v1.0.0");
    expect(code).toBe(0);
    expect(older).toMatchObject({ kind: "verified", tag: "v1.0.0", artifact: APP, size: 3 });
  });

  test("leaves no download behind", async () => {
    const DEWY_CACHEDIR = await tempDirectory();
    const argv = ["verify", `file://${await registry()}`, ...PLATFORM, ...CHECKSUMS];
    expect(await dewy(argv, { DEWY_CACHEDIR })).toMatchObject({ code: 2 });
    expect(await dewy([...argv, "--tag", "v1.0.0"], { DEWY_CACHEDIR })).toMatchObject({ code: 0 });
    expect(await readdir(DEWY_CACHEDIR)).toEqual([]);
  });

  test("adds evidence of this machine", async () => {
    const directory = await registry();
    const sums = join(await directoryOf({ SHA256SUMS: sumsOf("new") }), "SHA256SUMS");
    const argv = ["verify", `file://${directory}`, ...PLATFORM, ...CHECKSUMS, "--evidence", sums];
    expect(await dewy(argv)).toMatchObject({ code: 0, err: "" });
  });

  test("finds that a newer version of a signed index is hidden, as dewy check does", async () => {
    const { publicKey, sign } = await sshKey();
    const index = JSON.stringify({
      format: 1,
      issued: new Date(Date.now() - 1_000).toISOString(),
      expires: new Date(Date.now() + 60_000).toISOString(),
      versions: { "v1.0.0": { [APP]: `sha256:${sha256Hex("old")}` }, "v1.1.0": {} },
    });
    const directory = await directoryOf({
      [`v1.0.0/${APP}`]: "old",
      [`v1.0.0/${APP}.sig`]: await sign(APP, "old"),
      "v1.0.0/dewy-index.json": index,
      "v1.0.0/dewy-index.json.sig": await sign("dewy-index.json", index),
    });
    const signers = join(await directoryOf({ allowed_signers: publicKey }), "allowed_signers");
    const rules = ["--verify", "index", "--verify", `ssh=${signers}`];
    const argv = [`file://${directory}`, ...PLATFORM, ...rules];
    const { code, err } = await dewy(["verify", ...argv]);
    expect(code).toBe(2);
    expect(err).toContain("it has v1.1.0, which the registry does not list");
    expect(await json("check", ...argv)).toMatchObject([2, { verification: { proofs: [] } }]);
    // An operator who names an old version knows that there are newer ones.
    expect(await dewy(["verify", ...argv, "--tag", "v1.0.0"])).toMatchObject({ code: 0 });
  });

  test("says why there is nothing to verify", async () => {
    const url = `file://${await registry()}`;
    const [code, answer] = await json("verify", url, ...CHECKSUMS, "--tag", "v9.0.0");
    expect(code).toBe(2);
    expect(answer).toMatchObject({ kind: "none", reason: "unknown-tag" });
  });
});

describe("dewy verify of an image", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

  /** A registry with an image, and a signature as cosign stores it, of this digest or of the image's. */
  async function imageRegistry(signed?: string): Promise<{ url: string; flags: string[] }> {
    const fake = fakeOci();
    const digest = fake.push("v1.0.0");
    const instance = await fakeSigstore();
    const payload = simplePayload(signed ?? digest);
    const bundle = await instance.signFileWith(privateKey, payload);
    const layer = {
      ...fake.put(JSON.parse(payload), "application/vnd.dev.cosign.simplesigning.v1+json"),
      annotations: cosignAnnotations(bundle),
    };
    const manifest = fake.put({ schemaVersion: 2, layers: [layer] });
    fake.tag(`${digest.replace(":", "-")}.sig`, manifest.digest);
    const { origin } = new URL("https://registry.example");
    const served = await serveFetch(async (request) => {
      const { pathname, search } = new URL(request.url);
      const answer = await fake.handler(new Request(`${origin}${pathname}${search}`, request));
      const location = answer.headers.get("location");
      return location === null ? answer : fake.handler(new Request(location));
    });
    onTestFinished(() => served.close());
    const directory = await directoryOf({
      "cosign.pub": publicKey.export({ type: "spki", format: "pem" }),
      "root.json": JSON.stringify(instance.trustedRoot),
    });
    const rule = `sigstore-key=${join(directory, "cosign.pub")}`;
    const flags = ["--verify", rule, "--trusted-root", join(directory, "root.json"), ...PLATFORM];
    return { url: `img://${new URL(served.url).host}/o/app?insecure=true`, flags };
  }

  test("finds the signature in the registry", async () => {
    const { url, flags } = await imageRegistry();
    const [code, answer] = await json("verify", url, ...flags);
    expect(answer).toMatchObject({
      kind: "verified",
      tag: "v1.0.0",
      digest: expect.stringMatching(/^sha256:/),
      size: null,
      proofs: [{ kind: "sigstore-key", evidence: expect.stringMatching(/^sha256-.*\.sig$/) }],
    });
    expect(code).toBe(0);
  });

  test("takes no evidence from files", async () => {
    const { url, flags } = await imageRegistry();
    const { code, err } = await dewy(["verify", url, ...flags, "--evidence", "app.sig"]);
    expect(code).toBe(1);
    expect(err).toContain("its signatures are in the registry");
  });

  test("refuses the signature of another image", async () => {
    const { url, flags } = await imageRegistry(`sha256:${sha256Hex("other")}`);
    const { code, err } = await dewy(["verify", url, ...flags]);
    expect(code).toBe(2);
    expect(err).toContain("the signature is of sha256:");
  });
});

describe("the verdict of --verify", () => {
  test.each(["check", "explain"])("is shown by dewy %s", async (command) => {
    const argv = [command, `file://${await registry()}?constraint=1.0.0`, ...PLATFORM];
    const { code, out } = await dewy([...argv, ...CHECKSUMS]);
    expect(code).toBe(0);
    expect(out).toMatch(/^ *verified +checksums: SHA256SUMS$/m);
    expect((await dewy(argv)).out).not.toContain("verified");
  });

  test("makes dewy check exit with 2 for a version that would be refused", async () => {
    const url = `file://${await registry()}`;
    const [code, answer] = await json("check", url, ...PLATFORM, ...CHECKSUMS);
    expect(code).toBe(2);
    expect(answer).toMatchObject({
      kind: "ready",
      tag: "v1.1.0",
      verification: { verdict: "unverified", proofs: [], reason: expect.stringContaining(APP) },
    });
  });

  test("refuses bytes that are not those of the registry", async () => {
    const directory = await registry();
    await writeFile(join(directory, "v1.1.0", "SHA256SUMS"), sumsOf("other"));
    const [code, answer] = await json("check", `file://${directory}`, ...PLATFORM, ...CHECKSUMS);
    expect(code).toBe(2);
    expect(answer).toMatchObject({ kind: "ready", verification: { verdict: "unverified" } });
  });

  test("is part of the JSON of dewy explain", async () => {
    const url = `file://${await registry()}?constraint=1.0.0`;
    const [, answer] = await json("explain", url, ...PLATFORM, ...CHECKSUMS);
    expect(answer).toMatchObject({
      resolution: { kind: "ready", tag: "v1.0.0" },
      verification: { verdict: "verified", proofs: [{ kind: "checksums" }], reason: null },
    });
  });

  test("without a signer, is unsigned and refuses nothing", async () => {
    const url = `file://${await registry()}`;
    const [code, answer] = await json("check", url, ...PLATFORM, "--verify", "auto");
    expect(code).toBe(0);
    expect(answer).toMatchObject({ verification: { verdict: "unsigned" } });
  });
});
