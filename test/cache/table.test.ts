import { describe, expect, test } from "vitest";
import { parseCacheUrl } from "../../src/cache/table.ts";

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
    expect(parseCacheUrl(url).locator).toMatchObject(expected);
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
    ["gs://b?registry_ttl=30s", 'unknown option "registry_ttl"'],
    ["file://host/dir", "write three slashes"],
  ])("refuses %s", (url, why) => {
    expect(() => parseCacheUrl(url)).toThrow(why);
  });

  test("does not repeat a password", () => {
    expect(() => parseCacheUrl("s3://user:hunter2@region/bucket")).toThrow(
      /^(?!.*hunter2).*credentials do not belong in a URL/,
    );
  });
});
