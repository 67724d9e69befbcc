import { ConfigError } from "../core/error.ts";
import { redactUrl, splitUrl } from "../core/url.ts";
import type { RegistryContext } from "../registries/driver.ts";
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
  const split = splitUrl(url, "--cache");
  const driver = Object.hasOwn(table, split.scheme) ? table[split.scheme] : undefined;
  if (driver === undefined) {
    const supported = Object.keys(table).join(", ");
    throw new ConfigError(
      `Cannot use --cache "${redactUrl(url)}": unsupported cache scheme "${split.scheme}"; supported schemes: ${supported}`,
    );
  }
  const locator = driver.parse(split);
  const { registryTtlMs } = locator;
  return { store: await driver.open(locator, context), registryTtlMs };
}
