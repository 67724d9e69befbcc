import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHostIo } from "../../../src/host/io.ts";
import { openRegistry } from "../../../src/registries/open.ts";
import { freePort } from "../ports.ts";
import { missingGoPeer, type Serving, serveGoPeer } from "./peers.ts";

const missing = missingGoPeer("crane");
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

describe.skipIf(missing !== undefined)(
  `crane registry serve${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let host = "";
    let server: Serving;

    beforeAll(async () => {
      host = `127.0.0.1:${await freePort()}`;
      server = await serveGoPeer("crane", `http://${host}/v2/`, async () => ({
        args: ["registry", "serve", "--address", host],
      }));
    });
    afterAll(() => server?.stop());

    async function push(repository: string, tags: readonly string[]): Promise<string> {
      const base = `http://${host}/v2/${repository}`;
      const put = async (url: string, body: string, type: string): Promise<void> => {
        const response = await fetch(url, {
          method: "PUT",
          body,
          headers: { "content-type": type },
        });
        if (!response.ok) throw new Error(`PUT ${url}: ${response.status}`);
        await response.body?.cancel();
      };
      const config = JSON.stringify({ os: "linux", architecture: "amd64" });
      const digest = digestOf(config);
      const upload = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
      const location = new URL(upload.headers.get("location") ?? "", base);
      location.searchParams.set("digest", digest);
      await put(location.href, config, "application/octet-stream");
      const mediaType = "application/vnd.oci.image.config.v1+json";
      const manifest = JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: { mediaType, digest, size: config.length },
        layers: [],
      });
      for (const tag of tags) await put(`${base}/manifests/${tag}`, manifest, MANIFEST);
      return digestOf(manifest);
    }

    test.each([37, 1_000, 1_101])(
      "finds the newest of %i tags, although no page has a Link",
      async (count) => {
        const repository = `team/app-${count}`;
        const tags = Array.from({ length: count }, (_, index) => `v1.0.${999 + index}`);
        const digest = await push(repository, tags);
        const io = await createHostIo({ env: {}, platform: { os: "linux", arch: "amd64" } });
        const answer = await openRegistry(`img://${host}/${repository}`, io).resolve();
        expect(answer).toMatchObject({
          kind: "ready",
          release: { tag: `v1.0.${998 + count}` },
          artifact: { digest },
        });
      },
    );
  },
);

function digestOf(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}
