import { expect, test } from "vitest";
import type { CommandContext } from "../../src/agent/context.ts";
import { openSharedCache } from "../../src/agent/shared_cache.ts";
import type { CacheDriver } from "../../src/cache/types.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { Registry } from "../../src/core/types.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { loadRegistry } from "../../src/registries/load.ts";
import { fakeProcess } from "../cli/process.ts";
import { memoryCache } from "../fakes/memory_cache.ts";
import { locker } from "../seams/locker.ts";

const NONE = { kind: "none", reason: "empty", message: "there are no releases" } as const;

/** A machine with a cache; its registry counts the questions. */
function machine(registryTtlMs = 30_000) {
  const store = memoryCache();
  const parse: CacheDriver["parse"] = ({ text: name }) => ({ name, registryTtlMs });
  const events: DewyEvent[] = [];
  const emit = (event: DewyEvent): void => void events.push(event);
  const io = { platform: { os: "linux", arch: "amd64" }, env: {}, fetch, clock: systemClock, emit };
  const context: CommandContext = {
    ...fakeProcess(),
    ...{ clock: systemClock, fetch, emit, io, version: "0.0.0", redactor: () => (text) => text },
    ...{
      registries: {},
      notifiers: {},
      caches: { locker: { ...locker, parse, open: () => store } },
    },
  };
  const asked = { count: 0 };
  const registry: Registry = {
    async resolve() {
      asked.count += 1;
      return NONE;
    },
    open: () => Promise.reject(new Error("unexpected")),
  };
  const open = async (
    url: string,
    flags: { slot?: string; calver?: string; cache?: string } = {},
  ) => {
    const { slot = "", calver = "" } = flags;
    const cache = "cache" in flags ? flags.cache : "locker://north";
    const { locator } = await loadRegistry(url, {
      ...io,
      registries: hostRegistries,
      slot,
      calver,
    });
    return openSharedCache({ registry: url, slot, calver, cache }, { registry, locator }, context);
  };
  const ask = async (...[url, flags]: Parameters<typeof open>) =>
    (await open(url, flags)).registry.resolve();
  return { registry, asked, open, ask, store, events };
}

test("without --cache, nothing is shared", async () => {
  const { open, registry } = machine();
  expect(await open("ghr://owner/repo", { cache: undefined })).toEqual({ registry });
});

test("without registry-ttl, a machine asks the registry itself and shares artifacts", async () => {
  const { open, registry } = machine(0);
  const opened = await open("ghr://owner/repo");
  expect(opened.registry).toBe(registry);
  expect(opened.artifacts).toBeDefined();
});

test("a directory as registry is that of one machine", async () => {
  const { open, registry } = machine();
  expect((await open("file:///releases")).registry).toBe(registry);
});

test("machines that ask the same share the answer, those with other flags do not", async () => {
  const { ask, asked, events } = machine();
  for (let time = 0; time < 2; time += 1) {
    expect(await ask("ghr://owner/repo")).toMatchObject({ kind: "none" });
    await ask("ghr://owner/repo?pre-release=true&artifact=a.zip");
    await ask("ghr://owner/repo?artifact=a.zip&pre-release=true");
    await ask("ghr://owner/repo", { slot: "blue" });
    await ask("ghr://owner/repo", { calver: "YYYY.MM.MICRO" });
  }
  expect(asked.count).toBe(4);
  expect(events.filter(({ type }) => type === "cache")).toHaveLength(10);
});
