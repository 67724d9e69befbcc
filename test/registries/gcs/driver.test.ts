import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { Artifact, Registry, Resolution } from "../../../src/core/types.ts";
import { splitUrl } from "../../../src/core/url.ts";
import { gs } from "../../../src/registries/gcs/driver.ts";
import { explainRegistry } from "../../../src/registries/open.ts";
import { fakeGcs } from "../../fakes/gcs.ts";
import { crc32c } from "../../fakes/gcs_crc32c.ts";
import { gsIo, openFakeGs } from "./world.ts";

const NAME = "app_linux_amd64.tar.gz";

async function ready(registry: Registry): Promise<Artifact> {
  const answer = await registry.resolve();
  if (answer.kind !== "ready") throw new Error(JSON.stringify(answer));
  return answer.artifact;
}

function tagOf(answer: Resolution): string | undefined {
  return answer.kind === "ready" ? answer.release.tag : undefined;
}

function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return new Response(stream).text();
}

describe("a registry in GCS", () => {
  test("sends two requests for a poll, with only the fields that it reads", async () => {
    const fake = fakeGcs();
    for (const tag of ["v1.0.0", "v1.1.0"]) fake.put(`app/${tag}/${NAME}`);
    await openFakeGs(fake, "gs://b/app").resolve();
    const fields = "fields=kind%2CnextPageToken%2Cprefixes%2Citems%28";
    expect(fake.requests).toEqual([
      expect.stringContaining(`GET /storage/v1/b/b/o?prefix=app%2F&delimiter=%2F&${fields}`),
      expect.stringContaining(`GET /storage/v1/b/b/o?prefix=app%2Fv1.1.0%2F&${fields}`),
    ]);
  });

  test("reports size, MD5 and generation of an object", async () => {
    const fake = fakeGcs();
    const stored = fake.put(`v1.0.0/${NAME}`, { body: "bytes" });
    expect(await ready(openFakeGs(fake, "gs://b"))).toEqual({
      name: NAME,
      url: `gs://b/v1.0.0/${NAME}`,
      size: 5,
      digest: `md5:${createHash("md5").update("bytes").digest("hex")}`,
      revision: String(stored.generation),
    });
  });

  test("reports the CRC-32C of a composed object, which has no MD5", async () => {
    const fake = fakeGcs();
    fake.put(`v1.0.0/${NAME}`, { body: "123456789", composite: true });
    // The check value of CRC-32C: https://reveng.sourceforge.io/crc-catalogue/all.htm#crc.cat.crc-32-iscsi
    expect((await ready(openFakeGs(fake, "gs://b"))).digest).toBe("crc32c:e3069283");
    expect(crc32c(new TextEncoder().encode("123456789"))).toBe("4waSgw==");
  });

  test("reads every page of tags and of files", async () => {
    const fake = fakeGcs({ pageSize: 3 });
    for (let minor = 0; minor < 10; minor += 1) {
      for (const os of ["aix", "darwin", "freebsd", "linux"]) {
        fake.put(`app/v1.${minor}.0/app_${os}_amd64.zip`);
      }
    }
    const answer = await openFakeGs(fake, "gs://b/app").resolve();
    expect(answer).toMatchObject({
      kind: "ready",
      release: { tag: "v1.9.0" },
      artifact: { name: "app_linux_amd64.zip" },
    });
  });

  test.each([
    "a b",
    "ä",
    "%2F",
    "100%",
    "a?b",
    "a#b",
    "a+b",
    "a&b=c",
    "a\\b",
    "..",
    "日本",
    "a//b",
  ])("gets an object below a prefix named %j", async (odd) => {
    const fake = fakeGcs();
    const name = `app_linux_amd64_${odd}.tar.gz`;
    fake.put(`${odd}/v1.0.0/${name}`, { body: odd });
    const registry = openFakeGs(fake, `gs://b/${encodeURIComponent(odd)}`);
    const artifact = await ready(registry);
    expect(artifact.name).toBe(name);
    expect(await textOf(await registry.open(artifact))).toBe(odd);
    const again = gs.artifact?.open(splitUrl(artifact.url, "the artifact URL"), gsIo(fake));
    expect(await textOf(await (again ?? Promise.reject()))).toBe(odd);
  });

  test("resumes a download only of the same object", async () => {
    const fake = fakeGcs();
    const name = `v1.0.0/${NAME}`;
    fake.put(name, { body: "0123456789" });
    const registry = openFakeGs(fake, "gs://b");
    const artifact = await ready(registry);
    expect(await textOf(await registry.open(artifact, { offset: 4 }))).toBe("456789");
    expect(await textOf(await registry.open(artifact, { offset: 10 }))).toBe("");
    await expect(registry.open(artifact, { offset: 11 })).rejects.toMatchObject({
      code: "integrity",
    });
    fake.put(name, { body: "abcdefghij" });
    for (const offset of [0, 4]) {
      await expect(registry.open(artifact, { offset })).rejects.toMatchObject({
        code: "integrity",
        message: expect.stringContaining("replaced in the meantime"),
      });
    }
  });

  test("refuses an object whose bytes would change in transit", async () => {
    const fake = fakeGcs();
    fake.put(`v1.0.0/${NAME}`, { body: gzipSync("bytes"), contentEncoding: "gzip" });
    const registry = openFakeGs(fake, "gs://b");
    await expect(registry.open(await ready(registry))).rejects.toMatchObject({
      code: "integrity",
      retryable: false,
      message: expect.stringContaining("Content-Encoding gzip"),
    });
  });

  test("waits for an artifact for half an hour after the newest object", async () => {
    const fake = fakeGcs();
    fake.put("v1.0.0/", { body: "", at: "2026-01-01T00:00:00.000Z" });
    fake.put("v1.0.0/app_darwin_arm64.zip", { at: "2026-01-01T01:00:00.000Z" });
    const ask = (at: string): Promise<Resolution> =>
      openFakeGs(fake, "gs://b", { now: Date.parse(at) }).resolve();
    expect(await ask("2026-01-01T01:29:59.000Z")).toEqual({
      kind: "pending",
      tag: "v1.0.0",
      reason: "artifact-missing",
      since: new Date("2026-01-01T01:00:00.000Z"),
    });
    expect(await ask("2026-01-01T01:30:00.000Z")).toMatchObject({
      kind: "none",
      reason: "artifact-missing",
    });
  });

  test("skips a directory with only records of deploys", async () => {
    const fake = fakeGcs();
    fake.put(`v1.0.0/${NAME}`);
    fake.put("v2.0.0/shipped_to_web-1_server_at_20260501T000000.000000000Z.txt");
    const registry = openFakeGs(fake, "gs://b");
    expect(tagOf(await registry.resolve())).toBe("v1.0.0");
    expect(await registry.exists?.("v1.0.0")).toBe(true);
    expect(await registry.exists?.("v2.0.0")).toBe(false);
  });

  test("ignores empty objects that stand for directories", async () => {
    const fake = fakeGcs();
    fake.put("v1.0.0/app_linux_amd64.zip/", { body: "" });
    const { artifacts } = await explainRegistry(openFakeGs(fake, "gs://b"));
    expect(artifacts).toEqual([]);
  });

  test("writes a record once, even if the response is lost", async () => {
    const fake = fakeGcs();
    const registry = openFakeGs(fake, "gs://b/app");
    const at = new Date("2026-05-01T01:02:03.004Z");
    const deployment = { id: "", tag: "v1.0.0", command: "assets", host: "web", at };
    fake.intercept((request) => {
      if (request.method !== "POST") return undefined;
      fake.put("app/v1.0.0/shipped_to_web_assets_at_20260501T010203.004000000Z.txt", {
        body: "first",
      });
      return new Response(null, { status: 503 });
    });
    await registry.report?.(deployment);
    const [[name, stored] = []] = fake.objects;
    expect(name).toBe("app/v1.0.0/shipped_to_web_assets_at_20260501T010203.004000000Z.txt");
    expect(new TextDecoder().decode(stored?.bytes)).toBe("first");
    expect(fake.objects.size).toBe(1);
    expect(fake.requests).toHaveLength(2);
  });

  test("leaves a record for each host and process that deploy in the same instant", async () => {
    const fake = fakeGcs();
    const registry = openFakeGs(fake, "gs://b/app");
    const at = new Date("2026-05-01T01:02:03.004Z");
    const deployment = { id: "", tag: "v1.0.0", command: "assets", at };
    const others = [
      { host: "web-1" },
      { host: "web-2" },
      { host: "web-1", nanoseconds: 7 },
      { host: "web-1", nanoseconds: 999_999 },
    ];
    await Promise.all(others.map((one) => registry.report?.({ ...deployment, ...one })));
    expect(fake.objects.size).toBe(others.length);
  });

  test("names the role that a record takes", async () => {
    const fake = fakeGcs();
    fake.intercept(() => new Response(null, { status: 403 }));
    const deployment = { id: "", tag: "v1.0.0", command: "assets", host: "web", at: new Date(0) };
    await expect(openFakeGs(fake, "gs://b/app").report?.(deployment)).rejects.toMatchObject({
      code: "credential",
      retryable: false,
      message: expect.stringMatching(/credentials|Storage Object Creator/),
    });
  });

  test("writes no record of a failed deploy", async () => {
    const fake = fakeGcs();
    const at = new Date();
    const deployment = { id: "", tag: "v1.0.0", command: "assets", host: "web", at, error: "no" };
    await openFakeGs(fake, "gs://b/app").report?.(deployment);
    expect(fake.requests).toEqual([]);
  });
});
