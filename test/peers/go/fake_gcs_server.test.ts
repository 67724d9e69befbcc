import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { latest } from "../../../src/registries/open.ts";
import { cacheAt } from "../../cache/context.ts";
import { cacheContract } from "../../contract/cache.ts";
import { ODD_NAMES } from "../../contract/odd_names.ts";
import { registryContract } from "../../contract/registry.ts";
import { freePort } from "../ports.ts";
import { missingGoPeer, type Serving, serveGoPeer } from "./peers.ts";

const missing = missingGoPeer("fake-gcs-server");
const PLATFORM = { os: "linux", arch: "amd64" };

describe.skipIf(missing !== undefined)(
  `fake-gcs-server${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let server: Serving;
    let endpoint = "";
    let buckets = 0;

    beforeAll(async () => {
      const port = await freePort();
      endpoint = `http://127.0.0.1:${port}`;
      server = await serveGoPeer("fake-gcs-server", `${endpoint}/storage/v1/b`, async () => ({
        args: [
          ...["-scheme", "http", "-host", "127.0.0.1", "-port", String(port)],
          ...["-backend", "memory", "-log-level", "error", "-public-host", `127.0.0.1:${port}`],
        ],
      }));
    });
    afterAll(() => server?.stop());

    async function call(method: string, path: string, body?: string): Promise<unknown> {
      const headers = { "content-type": "application/json" };
      const init = { method, ...(body === undefined ? {} : { body, headers }) };
      const response = await fetch(`${endpoint}${path}`, init);
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
      return text === "" ? undefined : JSON.parse(text);
    }

    async function createBucket(): Promise<string> {
      const name = `bucket-${++buckets}`;
      await call("POST", "/storage/v1/b?project=test", JSON.stringify({ name }));
      return name;
    }

    async function upload(bucket: string, name: string, body: string): Promise<void> {
      const query = new URLSearchParams({ uploadType: "media", name });
      await call("POST", `/upload/storage/v1/b/${bucket}/o?${query}`, body);
    }

    registryContract("gs (fake-gcs-server)", {
      now: Date.now,
      oddNames: ODD_NAMES.map((name) => name.replace(/[\r\n]+/g, "")),
      skip: {
        backdating: "a server stamps objects itself",
        network: "asked of the fake",
        replacing: "its downloads ignore ifGenerationMatch",
      },
      async setup() {
        const bucket = await createBucket();
        return {
          url: `gs://${bucket}/my/app`,
          options: { env: { STORAGE_EMULATOR_HOST: endpoint }, platform: PLATFORM },
          async publish(releases) {
            for (const { tag, files = {} } of releases) {
              for (const [name, body] of Object.entries(files)) {
                await upload(bucket, `my/app/${tag}/${name}`, body);
              }
            }
          },
          async remove(tag) {
            const query = new URLSearchParams({ prefix: `my/app/${tag}/` });
            const found = (await call("GET", `/storage/v1/b/${bucket}/o?${query}`)) as {
              items?: { name: string }[];
            };
            for (const { name } of found.items ?? []) {
              if (name.includes("/shipped_to_")) continue;
              await call("DELETE", `/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`);
            }
          },
        };
      },
    });

    cacheContract("gs (fake-gcs-server)", {
      atomic: true,
      async open() {
        const env = { STORAGE_EMULATOR_HOST: endpoint };
        return cacheAt(`gs://${await createBucket()}/team/app`, { env });
      },
    });

    test("is found by host and port alone", async () => {
      const bucket = await createBucket();
      await upload(bucket, "app/v1.2.3/app_linux_amd64.tar.gz", "bytes");
      const env = { STORAGE_EMULATOR_HOST: endpoint.replace("http://", "") };
      const answer = await latest(`gs://${bucket}/app`, { env, platform: PLATFORM });
      expect(answer).toMatchObject({ kind: "ready", release: { tag: "v1.2.3" } });
    });

    test("names a missing bucket", async () => {
      const env = { STORAGE_EMULATOR_HOST: endpoint };
      const answer = latest("gs://no-such-bucket/app", { env, platform: PLATFORM });
      await expect(answer).rejects.toMatchObject({
        code: "not-found",
        message: expect.stringContaining("no-such-bucket"),
      });
    });
  },
);
