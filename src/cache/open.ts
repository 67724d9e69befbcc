import type { RegistryContext } from "../registries/driver.ts";
import { parseCacheUrl } from "./table.ts";
import type { CacheStore, CacheTable } from "./types.ts";

export interface OpenedCache {
  store: CacheStore;
  /** How long an answer of the registry is shared; 0 if it is not. */
  registryTtlMs: number;
}

/**
 * Opens the cache of a URL. No request is sent.
 *
 * @throws {ConfigError} If the URL is invalid.
 */
export async function openCache(
  url: string,
  table: CacheTable,
  context: RegistryContext,
): Promise<OpenedCache> {
  const { locator, open } = parseCacheUrl(url, table);
  return { store: await open(context), registryTtlMs: locator.registryTtlMs };
}
