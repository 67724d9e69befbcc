import { expect, test } from "vitest";
import type { CacheDriver } from "../../../src/cache/types.ts";
import { run } from "../../../src/cli/run.ts";
import { memoryCache, unreachable } from "../../fakes/memory_cache.ts";
import { locker } from "../../seams/locker.ts";
import { fakeProcess } from "../process.ts";

const DAY_MS = 24 * 60 * 60_000;

/** A cache with an artifact of 40 days ago, one of 10 days ago, and the photos of another program. */
async function filled() {
  let now = Date.now() - 40 * DAY_MS;
  const store = memoryCache({ now: () => now });
  await store.write("artifacts/1/v1--app\u001b[2J.zip", "12345");
  await store.write("photos/cat.jpg", "x");
  now += 30 * DAY_MS;
  await store.write("artifacts/2/v2--app.zip", "123");
  const driver: CacheDriver = { ...locker, open: () => store };
  const prune = async (...flags: readonly string[]) => {
    const io = fakeProcess();
    const argv = ["cache", "prune", "--cache", "locker://north", ...flags];
    const tables = { registries: {}, notifiers: {}, caches: { locker: driver } };
    return { exitCode: await run(argv, io, async () => tables), out: io.out(), err: io.err() };
  };
  return { store, prune };
}

test("dewy cache prune removes expired artifacts, and prints them without control characters", async () => {
  const { store, prune } = await filled();
  const { exitCode, out } = await prune();
  expect(exitCode).toBe(0);
  expect(out).toMatch(/^artifacts\/1\/v1--app.*\.zip {2}5 B\n/);
  expect(out).not.toContain("\u001b");
  expect(out).toContain("Removed 1 objects (5 B); 1 are kept (3 B)");
  expect([...store.objects.keys()]).toEqual(["photos/cat.jpg", "artifacts/2/v2--app.zip"]);
});

test("--older-than says for how long artifacts are kept, --dry-run removes nothing", async () => {
  const { store, prune } = await filled();
  const { out } = await prune("--older-than", "7d", "--dry-run");
  expect(out).toContain("Would remove 2 objects (8 B); 0 are kept");
  expect(store.objects.size).toBe(3);
});

test("a store that does not answer is an error", async () => {
  const { store, prune } = await filled();
  store.options.before = unreachable;
  const { exitCode, err } = await prune();
  expect(exitCode).toBe(2);
  expect(err).toContain("Cannot reach the cache");
});

test("without --cache, the error shows how it is written", async () => {
  const io = fakeProcess();
  expect(await run(["cache", "prune"], io)).toBe(1);
  expect(io.err()).toContain("--cache is not set; for example: dewy cache prune --cache");
});
