import { openCache } from "../../src/cache/open.ts";
import { caches } from "../../src/cache/table.ts";
import type { CacheStore } from "../../src/cache/types.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { RegistryContext } from "../../src/registries/driver.ts";

export function cacheContext(io: Partial<RegistryContext> = {}): RegistryContext {
  return {
    platform: { os: "linux", arch: "amd64" },
    env: {},
    fetch: globalThis.fetch,
    clock: systemClock,
    emit: () => {},
    ...io,
  };
}

export async function cacheAt(url: string, io?: Partial<RegistryContext>): Promise<CacheStore> {
  return (await openCache(url, caches, cacheContext(io))).store;
}

export async function collected<T>(items: AsyncIterable<T> | undefined): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items ?? []) all.push(item);
  return all;
}
