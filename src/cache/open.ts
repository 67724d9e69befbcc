import { driverEnvironment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import { declarePrintable, redactUrl, splitUrl } from "../core/url.ts";
import type { RegistryContext } from "../registries/driver.ts";
import type { CacheLocator, CacheStore, CacheTable } from "./types.ts";

export interface ConfiguredCache {
  locator: CacheLocator;
  open(context: RegistryContext): Promise<CacheStore>;
}

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

/** Reads the value of `--cache`. Throws a ConfigError for an unknown scheme or an invalid URL. */
export function parseCacheUrl(text: string, table: CacheTable): ConfiguredCache {
  declarePrintable(table);
  const url = splitUrl(text, "--cache");
  const driver = Object.hasOwn(table, url.scheme) ? table[url.scheme] : undefined;
  if (driver === undefined) {
    throw new ConfigError(
      `Cannot use --cache "${redactUrl(text)}": unsupported cache scheme "${url.scheme}"; supported schemes: ${Object.keys(table).join(", ")}`,
    );
  }
  const names = driver.options.map(({ name }) => name);
  const entries = [...url.query];
  const query = new Map(entries.filter(([key]) => names.includes(key)));
  const unknown = entries.map(([key]) => key).filter((key) => !names.includes(key));
  const locator = driver.parse({ ...url, query });
  return {
    locator,
    async open(context) {
      // Other versions of dewy ignore such options, and may share the URL.
      if (unknown.length > 0) {
        context.emit({
          type: "warning",
          important: true,
          message: "Unknown options of --cache ignored",
          fields: { options: unknown.join(", "), known: names.join(", ") },
        });
      }
      const env = driverEnvironment(context.env, driver.environment);
      return driver.open(locator, { ...context, env });
    },
  };
}
