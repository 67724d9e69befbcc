import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Proof } from "../../../src/core/proof.ts";
import { createHostIo } from "../../../src/host/io.ts";
import { prepare } from "../../../src/registries/load.ts";
import { openImageEvidence } from "../../../src/registries/oci/evidence.ts";
import type { OciLocator } from "../../../src/registries/oci/locator.ts";
import { openRegistry } from "../../../src/registries/open.ts";
import { registries } from "../../../src/registries/table.ts";
import { imageSubject } from "../../../src/verify/image_subject.ts";
import { sigstore } from "../../../src/verify/sigstore/driver.ts";
import { type Served, serveFetch } from "../../fakes/serve.ts";
import { type FakeSigstore, fakeSigstore, ISSUER, WORKFLOW } from "../../fakes/sigstore.ts";
import { verifyPublished } from "../../support/published.ts";
import { verifyContext } from "../../support/subject.ts";
import { ARTIFACT, publish, workflows } from "../../support/workflows.ts";
import { freePort } from "../ports.ts";
import { goPeerPath, missingGoPeer, type Serving, serveGoPeer } from "./peers.ts";

const { signal } = new AbortController();

const missing = missingGoPeer("cosign");

describe.skipIf(missing !== undefined)(
  `cosign${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let instance: FakeSigstore;
    let services: Served;
    let directory: string;
    let cosign: string;

    beforeAll(async () => {
      instance = await fakeSigstore();
      services = await serveFetch(instance.handler);
      directory = await mkdtemp(join(tmpdir(), "dewy-cosign-"));
      const [config, root] = ["signing_config.json", "trusted_root.json"].map((name) =>
        join(directory, name),
      );
      await writeFile(config ?? "", JSON.stringify(signingConfig(services.url)));
      await writeFile(root ?? "", JSON.stringify(instance.trustedRoot));
      // As on a runner of GitHub, which has the token, but with an instance of Sigstore of the test's own.
      cosign = `
      if [ "$1" = generate-key-pair ]; then exec ${goPeerPath("cosign")} "$@"; fi
      SIGSTORE_ID_TOKEN=${token()} exec ${goPeerPath("cosign")} "$@" --signing-config ${config} --trusted-root ${root}`;
    });
    const sigstoreRoots = async () => [instance.trustedRoot];
    afterAll(async () => {
      await services?.close();
      await rm(directory, { recursive: true, force: true });
    });

    test.each(workflows().filter(({ section }) => section.startsWith("sigstore")))(
      "signs a release that dewy verifies: $section",
      async (workflow) => {
        const secrets = { COSIGN_KEY: "cosign.key", COSIGN_PASSWORD: "" };
        const { release, keys } = await publish(workflow, secrets, { cosign });
        const context = { sigstoreRoots };
        const proof = await verifyPublished(workflow, release, keys, context);
        expect(proof).toMatchObject({ kind: workflow.section, checksums: "SHA256SUMS" });

        const replaced = { ...release, [ARTIFACT]: Buffer.from("another program") };
        await expect(verifyPublished(workflow, replaced, keys, context)).rejects.toMatchObject({
          code: "unverified",
        });
      },
    );

    describe("for images", () => {
      let host: string;
      let registry: Serving;

      beforeAll(async () => {
        host = `127.0.0.1:${await freePort()}`;
        registry = await serveGoPeer("crane", `http://${host}/v2/`, async () => ({
          args: ["registry", "serve", "--address", host],
        }));
      });
      afterAll(() => registry?.stop());

      const crane = (...args: string[]): string =>
        execFileSync(goPeerPath("crane"), args, { encoding: "utf8", stdio: "pipe" }).trim();

      /** Pushes an image and an index with it, and returns the digest of the index. */
      async function push(name: string): Promise<string> {
        const layer = join(directory, "layer.tar");
        execFileSync("tar", ["-C", directory, "-cf", layer, "trusted_root.json"]);
        const image = `${host}/${name}:image`;
        crane("append", "-f", layer, "-t", image);
        crane("mutate", image, "--set-platform", "linux/amd64", "-t", image);
        crane("index", "append", "-m", image, "-t", `${host}/${name}:v1.2.0`);
        return crane("digest", `${host}/${name}:v1.2.0`);
      }

      test("signs an image that dewy verifies", async () => {
        const image = workflows().find(({ section }) => section === "Images");
        if (image === undefined) throw new Error("there is no workflow for images");
        await push("unsigned");
        const outputs = { IMAGE: `${host}/app`, DIGEST: await push("app") };
        await publish(image, {}, { cosign }, outputs);

        const verify = async (name: string): Promise<Proof> => {
          const platform = { os: "linux", arch: "amd64" };
          const io = await createHostIo({ env: {}, platform });
          const { locator, context } = prepare(`img://${host}/${name}`, { ...io, registries });
          const answer = await openRegistry(`img://${host}/${name}`, io).resolve();
          if (answer.kind !== "ready" || locator.type !== "oci") throw new Error("no image");
          const evidence = openImageEvidence(locator as OciLocator, context)(answer.artifact);
          const { tag } = answer.release;
          return sigstore
            .open(image.rule.replace(/^sigstore=/, ""), verifyContext({ sigstoreRoots }))
            .verify(imageSubject(tag, answer.artifact, evidence), signal);
        };
        expect(await verify("app")).toMatchObject({
          kind: "sigstore",
          identity: { issuer: ISSUER },
        });
        await expect(verify("unsigned")).rejects.toMatchObject({ code: "unverified" });
      });
    });
  },
);

/** https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto */
function signingConfig(url: string): object {
  const service = {
    url,
    majorApiVersion: 1,
    validFor: { start: "2020-01-01T00:00:00Z" },
    operator: "test",
  };
  return {
    mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
    caUrls: [service],
    rekorTlogUrls: [service],
    rekorTlogConfig: { selector: "ANY" },
  };
}

/** The claims of a job of GitHub, unsigned: the authority of the test does not check that. */
function token(): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = {
    iss: ISSUER,
    sub: `${WORKFLOW}@refs/tags/v1.2.0`,
    aud: "sigstore",
    repository: "acme/app",
    exp: Math.floor(Date.now() / 1_000) + 600,
  };
  return `${part({ alg: "RS256", typ: "JWT" })}.${part(claims)}.AAAA`;
}
