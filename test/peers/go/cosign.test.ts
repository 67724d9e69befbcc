import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Served, serveFetch } from "../../fakes/serve.ts";
import { type FakeSigstore, fakeSigstore, ISSUER, WORKFLOW } from "../../fakes/sigstore.ts";
import { verifyPublished } from "../../support/published.ts";
import { ARTIFACT, publish, workflows } from "../../support/workflows.ts";
import { goPeerPath, missingGoPeer } from "./peers.ts";

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
    afterAll(async () => {
      await services?.close();
      await rm(directory, { recursive: true, force: true });
    });

    test.each(workflows().filter(({ section }) => section.startsWith("sigstore")))(
      "signs a release that dewy verifies: $section",
      async (workflow) => {
        const secrets = { COSIGN_KEY: "cosign.key", COSIGN_PASSWORD: "" };
        const { release, keys } = await publish(workflow, secrets, { cosign });
        const context = { sigstoreRoots: async () => [instance.trustedRoot] };
        const proof = await verifyPublished(workflow, release, keys, context);
        expect(proof).toMatchObject({ kind: workflow.section, checksums: "SHA256SUMS" });

        const replaced = { ...release, [ARTIFACT]: Buffer.from("another program") };
        await expect(verifyPublished(workflow, replaced, keys, context)).rejects.toMatchObject({
          code: "unverified",
        });
      },
    );
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

/** What GitHub says of the job; the authority of the test does not check its signature. */
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
