import { describe, expect, test } from "vitest";
import { openCache, parseCacheUrl } from "../../src/cache/open.ts";
import { caches } from "../../src/cache/table.ts";
import type { CacheDriver, CacheTable } from "../../src/cache/types.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { RegistryContext } from "../../src/registries/driver.ts";
import { fakeClock } from "../fakes/clock.ts";
import { memoryCache } from "../fakes/memory_cache.ts";

const driver: CacheDriver = {
  scheme: "s3",
  name: "S3",
  syntax: "s3://<region>/<bucket>",
  example: "s3://eu-west-1/bucket",
  options: [],
  environment: [],
  parse: ({ text }) => ({ name: text, registryTtlMs: 30_000 }),
  open: () => memoryCache(),
};
const table: CacheTable = { file: driver, s3: driver, gs: driver };
const context: RegistryContext = {
  platform: { os: "linux", arch: "amd64" },
  env: {},
  fetch: () => Promise.reject(new Error("unexpected")),
  clock: fakeClock(),
  emit: () => {},
};

test("the scheme of the URL chooses the cache", async () => {
  const { store, registryTtlMs } = await openCache("s3://eu-west-1/bucket", table, context);
  expect(store.name).toBe("memory://cache");
  expect(registryTtlMs).toBe(30_000);
});

test.each(["consul", "redis", "FILE", "constructor"])("%s:// is refused", async (scheme) => {
  await expect(openCache(`${scheme}://user:secret@host/x`, table, context)).rejects.toThrow(
    `Cannot use --cache "${scheme}://host/x": unsupported cache scheme "${scheme}"; supported schemes: file, s3, gs`,
  );
});

describe("--cache", () => {
  test.each([
    ["s3://r/bucket/team/app", { region: "r", bucket: "bucket", prefix: "team/app/" }],
    ["s3://r/b//p/", { prefix: "p/" }],
    ["s3://r/b/p?endpoint=http://localhost:9000", { endpoint: "http://localhost:9000" }],
    ["s3://r/b?registry-ttl=30s", { registryTtlMs: 30_000, prefix: "" }],
    ["gs://bucket", { bucket: "bucket", prefix: "", registryTtlMs: 0 }],
    ["gs://bucket/team/app?registry-ttl=1.5s", { prefix: "team/app/", registryTtlMs: 1_500 }],
    ["gs://bucket?registry-ttl=%2B30s", { registryTtlMs: 30_000 }],
    ["gs://bucket?registry-ttl=100us", { registryTtlMs: 0.1 }],
    ["file:///var/cache", { directory: "/var/cache" }],
    ["file://", { directory: "" }],
  ])("reads %s", (url, expected) => {
    expect(parseCacheUrl(url, caches).locator).toMatchObject(expected);
  });

  test.each([
    ["redis://localhost:6379", 'unsupported cache scheme "redis"; supported schemes: file, s3, gs'],
    ["FILE:///c", 'unsupported cache scheme "FILE"'],
    ["s3:///bucket", "region is required"],
    ["s3://region/", "bucket is required"],
    ["gs:///prefix", "bucket is required"],
    ["gs://b?registry-ttl=30", 'invalid registry-ttl "30"'],
    ["gs://b?registry-ttl=30S", 'invalid registry-ttl "30S"'],
    ["gs://b?registry-ttl=-30s", "registry-ttl must be non-negative, got -30s"],
    ["file://host/dir", "write three slashes"],
  ])("refuses %s", (url, why) => {
    expect(() => parseCacheUrl(url, caches)).toThrow(why);
  });

  test("does not repeat a password", () => {
    expect(() => parseCacheUrl("s3://user:hunter2@region/bucket", caches)).toThrow(
      /^(?!.*hunter2).*credentials do not belong in a URL/,
    );
  });

  test("ignores an option that it does not know, with a warning that names those it knows", async () => {
    const events: DewyEvent[] = [];
    const url = "gs://bucket?registry_ttl=30s&token=hunter2";
    const { registryTtlMs } = await openCache(url, caches, {
      ...context,
      emit: (event) => events.push(event),
    });
    expect(registryTtlMs).toBe(0);
    expect(events).toMatchObject([
      { type: "warning", important: true, fields: { options: "registry_ttl, token" } },
    ]);
    expect(JSON.stringify(events)).toContain("registry-ttl");
    expect(JSON.stringify(events)).not.toContain("hunter2");
  });
});
