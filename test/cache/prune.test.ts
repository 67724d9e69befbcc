import { expect, test } from "vitest";
import { pruneCache } from "../../src/cache/prune.ts";
import type { CacheLeftover } from "../../src/cache/types.ts";
import { memoryCache } from "../fakes/memory_cache.ts";

const DAY_MS = 24 * 60 * 60_000;

async function filled() {
  let now = 0;
  const store = memoryCache({ now: () => now });
  const put = async (keys: readonly string[]): Promise<void> => {
    for (const key of keys) await store.write(key, key);
  };
  await put(["registry-cache/old.json", "artifacts/0/old", "claims/old.json"]);
  await put(["fleet/web/rollout.json", "photos/holiday--1.jpg", "v1--app.tar.gz"]);
  now = 40 * DAY_MS;
  await put(["registry-cache/new.json", "artifacts/1/new", "claims/new.json"]);
  now += DAY_MS / 2;
  return { store, now };
}

test("what has expired is removed, and nothing that the cache has not written", async () => {
  const { store, now } = await filled();
  const { removed, kept } = await pruneCache(store, { now });
  expect(removed.map(({ key }) => key)).toEqual([
    "registry-cache/old.json",
    "artifacts/0/old",
    "claims/old.json",
  ]);
  expect(kept).toEqual({ objects: 3, bytes: 53 });
  expect([...store.objects.keys()]).toContain("fleet/web/rollout.json");
  expect(store.objects.size).toBe(6);
});

test("artifacts are kept for as long as the operator says", async () => {
  const { store, now } = await filled();
  const { removed } = await pruneCache(store, { now, artifactsMs: 60 * DAY_MS });
  expect(removed.map(({ key }) => key)).toEqual(["registry-cache/old.json", "claims/old.json"]);
});

test("a dry run removes nothing", async () => {
  const { store, now } = await filled();
  expect((await pruneCache(store, { now, isDry: true })).removed).toHaveLength(3);
  expect(store.objects.size).toBe(9);
});

test("a clock that is behind removes nothing", async () => {
  const { store } = await filled();
  expect((await pruneCache(store, { now: 0 })).removed).toEqual([]);
});

test("by default, the newest object tells the time, so that a wrong clock removes nothing", async () => {
  const { store } = await filled();
  const { removed } = await pruneCache(store, {});
  expect(removed).toHaveLength(3);
});

test("what a dead machine has begun to upload is removed after a day", async () => {
  const { store, now } = await filled();
  const gone: string[] = [];
  const leftover = (key: string, modifiedAt: number): CacheLeftover => {
    return { key, bytes: 0, modifiedAt, remove: async () => void gone.push(key) };
  };
  store.leftovers = async function* (prefix) {
    yield leftover(`${prefix}1/dead`, now - 2 * DAY_MS);
    yield leftover(`${prefix}1/alive`, now - 60_000);
  };
  const { removed } = await pruneCache(store, { now });
  expect(gone).toEqual(["artifacts/1/dead"]);
  expect(removed.map(({ key }) => key)).toContain("artifacts/1/dead");
});
