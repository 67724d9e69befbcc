import { expect, test } from "vitest";
import { openCache } from "../../src/cache/open.ts";
import type { CacheDriver, CacheTable } from "../../src/cache/types.ts";
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
