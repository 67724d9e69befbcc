import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SharedArtifacts } from "../../src/cache/shared_artifacts.ts";
import { SharedStore } from "../../src/cache/shared_store.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { Registry } from "../../src/core/types.ts";
import { openReleaseDirectory } from "../../src/deployers/release_directory.ts";
import { stageRelease } from "../../src/deployers/stage_release.ts";
import { cacheDirectory } from "../../src/host/download/cache_directory.ts";
import { candidate, never, testRegistry } from "../deploy/world.ts";
import { memoryCache } from "../fakes/memory_cache.ts";
import { sha256Hex } from "../support/subject.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const TEXT = "x".repeat(300_000);
const DIGEST = `sha256:${sha256Hex(TEXT)}`;

/** Machines with one cache and one registry. */
function machines() {
  const store = memoryCache();
  const registry = { opened: 0 };
  const open: Registry["open"] = async (_, { offset = 0 } = {}) => {
    registry.opened += 1;
    return new Blob([TEXT.slice(offset)]).stream();
  };
  const stage = async (node: string) => {
    const directory = await openReleaseDirectory(await tempDirectory());
    const events: DewyEvent[] = [];
    const emit = (event: DewyEvent): void => void events.push(event);
    const run = stageRelease({
      registry: { ...testRegistry(), open },
      artifacts: new SharedArtifacts(new SharedStore({ store, node, clock: systemClock, emit })),
      directory,
      downloads: () => cacheDirectory(directory.root, undefined),
      maxArtifactBytes: 1_000_000,
      maxExpandedBytes: 1_000_000,
      clock: systemClock,
      emit,
    });
    const wanted = candidate("v1.0.0", { name: "app", digest: DIGEST, size: TEXT.length });
    const staged = await run(wanted, never(), async () => {});
    const path = join(directory.path(staged.directory), "app");
    return { text: await readFile(path, "utf8"), events };
  };
  return { store, registry, stage };
}

const artifactKey = (store: { objects: Map<string, unknown> }): string => {
  const key = [...store.objects.keys()].find((one) => one.startsWith("artifacts/"));
  if (key === undefined) throw new Error("nothing is stored");
  return key;
};

test("a release comes from the registry once, and then from the cache", async () => {
  const { store, registry, stage } = machines();
  for (const node of ["a", "b", "c"]) expect((await stage(node)).text).toBe(TEXT);
  expect(registry.opened).toBe(1);
  expect(store.text(artifactKey(store))).toBe(TEXT);
});

test.each([
  ["other", "y".repeat(TEXT.length)],
  ["too few", TEXT.slice(1)],
  ["too many", `${TEXT}x`],
])("%s bytes in the cache never reach a release", async (_, text) => {
  const { store, registry, stage } = machines();
  await stage("a");
  await store.write(artifactKey(store), text);
  const { text: staged } = await stage("b");
  expect(staged).toBe(TEXT);
  expect(registry.opened).toBe(2);
  for (const node of ["c", "d"]) await stage(node);
  expect(registry.opened).toBeLessThanOrEqual(3);
  expect(store.text(artifactKey(store))).toBe(TEXT);
});
