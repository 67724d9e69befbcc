import { driverEnvironment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import { declarePrintable, redactUrl, splitUrl } from "../core/url.ts";
import type { RegistryContext } from "../registries/driver.ts";
import { file } from "./file/driver.ts";
import { gs } from "./gcs/driver.ts";
import { s3 } from "./s3/driver.ts";
import type { CacheLocator, CacheStore, CacheTable } from "./types.ts";

/** The caches by scheme. Help, the reference, redaction and errors are derived from this table. */
export const caches: CacheTable = { file, s3, gs };

export interface ConfiguredCache {
  locator: CacheLocator;
  open(context: RegistryContext): Promise<CacheStore>;
}

/** Reads the value of `--cache`. Throws a ConfigError for an unknown scheme or an invalid URL. */
export function parseCacheUrl(text: string, table: CacheTable = caches): ConfiguredCache {
  declarePrintable(table);
  const url = splitUrl(text, "--cache");
  const driver = Object.hasOwn(table, url.scheme) ? table[url.scheme] : undefined;
  if (driver === undefined) {
    throw new ConfigError(
      `Cannot use --cache "${redactUrl(text)}": unsupported cache scheme "${url.scheme}"; supported schemes: ${Object.keys(table).join(", ")}`,
    );
  }
  const locator = driver.parse(url);
  return {
    locator,
    open: async (context) =>
      driver.open(locator, { ...context, env: driverEnvironment(context.env, driver.environment) }),
  };
}
