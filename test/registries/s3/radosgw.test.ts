import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { Registry, Resolution } from "../../../src/core/types.ts";
import { splitUrl } from "../../../src/core/url.ts";
import type { RegistryContext } from "../../../src/registries/driver.ts";
import { explainRegistry, openArtifact } from "../../../src/registries/open.ts";
import type { S3Client } from "../../../src/registries/s3/client.ts";
import { s3 } from "../../../src/registries/s3/driver.ts";
import { openS3 } from "../../../src/registries/s3/registry.ts";
import { ODD_NAMES } from "../../contract/odd_names.ts";
import { registryContract } from "../../contract/registry.ts";
import { missingRadosgw, type Radosgw, startRadosgw } from "../../peers/radosgw.ts";
import { runCase, runtimes } from "../../runtime/runtimes.ts";

const missing = missingRadosgw();
const title = `s3:// on radosgw${missing === undefined ? "" : ` (${missing})`}`;
const ARTIFACT = "app_linux_amd64.tar.gz";

describe.skipIf(missing !== undefined)(title, () => {
  let gateway: Radosgw;
  let buckets = 0;
  beforeAll(async () => {
    gateway = await startRadosgw();
  });
  afterAll(() => gateway?.stop());

  interface World {
    bucket: string;
    client: S3Client;
    events: DewyEvent[];
    io: RegistryContext;
    open(options?: { maxKeys?: number; io?: Partial<RegistryContext>; query?: string }): Registry;
  }

  async function world(): Promise<World> {
    const bucket = `bucket-${++buckets}`;
    const client = await gateway.createBucket(bucket);
    const events: DewyEvent[] = [];
    const io: RegistryContext = {
      platform: { os: "linux", arch: "amd64" },
      env: gateway.env,
      fetch: globalThis.fetch,
      clock: systemClock,
      emit: (event) => events.push(event),
    };
    return {
      bucket,
      client,
      events,
      io,
      open: ({ maxKeys, io: other, query = "" } = {}) =>
        openS3(
          s3.parse(splitUrl(`s3://default/${bucket}/my/app${query}`, "--registry")),
          { ...io, ...other },
          maxKeys === undefined ? {} : { maxKeys },
        ),
    };
  }

  async function removeArtifacts(bucket: string, client: S3Client, prefix: string): Promise<void> {
    for await (const { objects } of client.list({ prefix })) {
      for (const { key } of objects) {
        if (!key.includes("/shipped_to_")) await gateway.send("DELETE", bucket, key);
      }
    }
  }

  registryContract("s3 (radosgw)", {
    now: Date.now,
    oddNames: ODD_NAMES,
    skip: {
      backdating: "a server stamps objects itself",
      network: "asked of the fake",
      many: "see the paging of 1,200 tags below",
    },
    async setup() {
      const { bucket, client, io } = await world();
      return {
        url: `s3://default/${bucket}/my/app`,
        options: { env: io.env, platform: io.platform },
        async publish(releases) {
          for (const { tag, files = {} } of releases) {
            for (const [name, body] of Object.entries(files)) {
              await client.put(`my/app/${tag}/${name}`, body, "application/octet-stream");
            }
          }
        },
        remove: (tag) => removeArtifacts(bucket, client, `my/app/${tag}/`),
      };
    },
  });

  test("lists 1,200 tags in two pages, and sends three requests for an idle poll", async () => {
    const { client, events, open } = await world();
    const tags = Array.from({ length: 1_200 }, (_, index) => `v1.${index}.0`);
    for (let at = 0; at < tags.length; at += 24) {
      await Promise.all(
        tags
          .slice(at, at + 24)
          .map((tag) => client.put(`my/app/${tag}/${ARTIFACT}`, tag, "text/plain")),
      );
    }
    const registry = open();
    expect(tagOf(await registry.resolve())).toBe("v1.1199.0");
    events.length = 0;
    expect(tagOf(await registry.resolve())).toBe("v1.1199.0");
    expect(events.filter((event) => event.type === "request")).toHaveLength(3);
    expect((await explainRegistry(registry)).tags).toHaveLength(1_200);
  });

  test("follows pages of any size, also among keys that need escaping", async () => {
    const { client, open } = await world();
    const tags = ["v1.0.0+a b", "v1.0.0+c%2F", "v1.1.0+ü", "v1.2.0&x=1", "v1.3.0", "v1.10.0+z"];
    for (const tag of tags) await client.put(`my/app/${tag}/${ARTIFACT}`, tag, "text/plain");
    const why = await explainRegistry(open({ maxKeys: 1 }));
    expect(why.tags.map(({ tag }) => tag).sort()).toEqual([...tags].sort());
    expect(tagOf(why.resolution)).toBe("v1.10.0+z");
  });

  test("sends two requests for an idle poll, and reads the digest only once", async () => {
    const { client, events, open } = await world();
    await client.put(`my/app/v1.0.0/${ARTIFACT}`, "bytes", "text/plain");
    const registry = open();
    const methods = async (): Promise<string[]> => {
      events.length = 0;
      await registry.resolve();
      return events.flatMap((event) => (event.type === "request" ? [event.method] : []));
    };
    expect(await methods()).toEqual(["GET", "GET", "HEAD"]);
    expect(await methods()).toEqual(["GET", "GET"]);
    await client.put(`my/app/v1.0.0/${ARTIFACT}`, "other", "text/plain");
    expect(await methods()).toEqual(["GET", "GET", "HEAD"]);
  });

  test("reports the entity tag of a simple upload as MD5", async () => {
    const { client, open } = await world();
    await client.put(`my/app/v1.0.0/${ARTIFACT}`, "bytes", "text/plain");
    // printf bytes | md5sum
    expect(artifactOf(await open().resolve()).digest).toBe("md5:4b3a6218bb3e3a7303e8a171a60fcf92");
  });

  test("returns the stored bytes of an object with Content-Encoding", async () => {
    const { bucket, open } = await world();
    const key = `my/app/v1.0.0/${ARTIFACT}`;
    const gzip = new Blob(["plain"]).stream().pipeThrough(new CompressionStream("gzip"));
    const bytes = new Uint8Array(await new Response(gzip).arrayBuffer());
    await gateway.send("PUT", bucket, key, { "content-encoding": "gzip" }, bytes);
    const registry = open();
    const artifact = artifactOf(await registry.resolve());
    expect(new Uint8Array(await new Response(await registry.open(artifact)).arrayBuffer())).toEqual(
      bytes,
    );
    expect(artifact.size).toBe(bytes.length);
  });

  test("opens an artifact by its URL alone", async () => {
    const { client, io, open } = await world();
    await client.put(`my/app/v1.0.0+b.c/${ARTIFACT}`, "bytes", "text/plain");
    const { url } = artifactOf(await open().resolve());
    const stream = await openArtifact(url, { env: io.env, offset: 2 });
    expect(await new Response(stream).text()).toBe("tes");
  });

  test.each(runtimes)(
    "works on $name: any key, stored encodings, ranges, records",
    async (runtime) => {
      const { bucket, client } = await world();
      const name = "q?x=1&y#z+ %ü\n.zip";
      const gzip = new Uint8Array([
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0,
      ]);
      await gateway.send("PUT", bucket, `app/v1.0.0/${name}`, { "content-encoding": "gzip" }, gzip);
      const { code, stdout, stderr } = await runCase(runtime, "test/registries/s3/case.ts", {
        ...gateway.env,
        REGISTRY: `s3://default/${bucket}/app`,
        ARTIFACT: name,
      });
      expect([code, stderr]).toEqual([0, ""]);
      const md5 = createHash("md5").update(gzip).digest("hex");
      const bytes = [...gzip];
      expect(JSON.parse(stdout)).toEqual({
        name,
        digest: `md5:${md5}`,
        bytes,
        rest: bytes.slice(2),
      });
      const record = "app/v1.0.0/shipped_to_host_assets_at_19700101T000000.000000000Z.txt";
      expect(await client.head(record)).toBeDefined();
    },
  );

  test("leaves an empty record beside the artifacts", async () => {
    const { client, open } = await world();
    await client.put(`my/app/v1.0.0/${ARTIFACT}`, "bytes", "text/plain");
    const registry = open();
    const at = new Date(Date.UTC(2026, 4, 1, 2, 3, 4, 56));
    const deployed = { id: "my/app/v1.0.0/", tag: "v1.0.0", command: "server", host: "Web-1", at };
    await registry.report?.({ ...deployed, error: "it did not work" });
    await registry.report?.(deployed);
    const keys: string[] = [];
    for await (const page of client.list({ prefix: "my/app/v1.0.0/" }))
      keys.push(...page.objects.map(({ key }) => key));
    const record = "my/app/v1.0.0/shipped_to_web-1_server_at_20260501T020304.056000000Z.txt";
    expect(keys).toEqual([`my/app/v1.0.0/${ARTIFACT}`, record]);
    const headers = await client.head(record);
    expect([headers?.get("content-type"), headers?.get("content-length")]).toEqual([
      "text/plain",
      "0",
    ]);
  });

  test("leaves a record for each of many hosts at once, and writes over none", async () => {
    const { client, open } = await world();
    const at = new Date(Date.UTC(2026, 4, 1, 2, 3, 4, 56));
    const deployed = { id: "my/app/v1.0.0/", tag: "v1.0.0", command: "server", at };
    const record = "my/app/v1.0.0/shipped_to_web_server_at_20260501T020304.056000000Z.txt";
    await client.put(record, "first", "text/plain");
    const hosts = Array.from({ length: 10 }, (_, index) => ({ host: `web-${index}` }));
    const processes = Array.from({ length: 10 }, (_, nanoseconds) => ({
      host: "web",
      nanoseconds,
    }));
    await Promise.all(
      [...hosts, ...processes].map((one) => open().report?.({ ...deployed, ...one })),
    );
    let count = 0;
    for await (const page of client.list({ prefix: "my/app/v1.0.0/" }))
      count += page.objects.length;
    expect(count).toBe(20);
    expect(await new Response(await client.get(record)).text()).toBe("first");
  });

  const refusals: [string, (io: RegistryContext) => Partial<RegistryContext>, RegExp][] = [
    [
      "a wrong secret",
      (io) => ({ env: { ...io.env, AWS_SECRET_ACCESS_KEY: "wrong" } }),
      /SignatureDoesNotMatch.*AWS_SECRET_ACCESS_KEY/,
    ],
    [
      "an unknown key",
      (io) => ({ env: { ...io.env, AWS_ACCESS_KEY_ID: "unknown" } }),
      /InvalidAccessKeyId.*AWS_ACCESS_KEY_ID/,
    ],
    ["a wrong clock", () => ({ clock: shifted(-3_600_000) }), /RequestTimeTooSkewed.*clock/],
    [
      "a request without credentials",
      (io) => ({ env: { AWS_ENDPOINT_URL: io.env.AWS_ENDPOINT_URL } }),
      /AccessDenied.*without credentials/,
    ],
  ];
  test.each(refusals)("reports the server's message for %s", async (_who, change, words) => {
    const { io, open } = await world();
    const refused = open({ io: change(io) }).resolve();
    await expect(refused).rejects.toMatchObject({
      code: "credential",
      message: expect.stringMatching(words),
    });
    const shown = String(await refused.catch((error: unknown) => error));
    expect(shown).not.toContain(gateway.user.secretAccessKey);
  });

  test("names a missing bucket", async () => {
    const { io } = await world();
    const locator = s3.parse(splitUrl("s3://default/no-such-bucket/app", "--registry"));
    await expect(openS3(locator, io).resolve()).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringMatching(/NoSuchBucket.*"no-such-bucket"/),
    });
  });

  test("names a missing object", async () => {
    const { bucket, io } = await world();
    const gone = openArtifact(`s3://default/${bucket}/no/such`, { env: io.env });
    await expect(gone).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining("NoSuchKey"),
    });
  });
});

describe.skipIf(missing !== undefined)(
  `the radosgw of the tests${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    test("removes everything when it stops", async () => {
      const gateway = await startRadosgw();
      await gateway.stop();
      await expect(fetch(gateway.endpoint)).rejects.toThrow();
    });
  },
);

function shifted(ms: number): Clock {
  return { ...systemClock, now: () => Date.now() + ms };
}

function tagOf(resolution: Resolution): string | undefined {
  return resolution.kind === "ready" ? resolution.release.tag : JSON.stringify(resolution);
}

function artifactOf(resolution: Resolution): Extract<Resolution, { kind: "ready" }>["artifact"] {
  if (resolution.kind !== "ready") throw new Error(JSON.stringify(resolution));
  return resolution.artifact;
}
