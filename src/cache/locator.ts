import { parseDuration } from "../core/duration.ts";
import { ConfigError } from "../core/error.ts";
import { type OptionSpec, option, readQuery, redactUrl, type SplitUrl } from "../core/url.ts";
import type { CacheLocator } from "./types.ts";

export const REGISTRY_TTL: OptionSpec = option(
  "registry-ttl",
  "How long all machines share one answer of the registry, such as 30s; default: not shared",
);

export function badCacheUrl(url: SplitUrl, problem: string): ConfigError {
  return new ConfigError(`Cannot use --cache "${redactUrl(url.text)}": ${problem}`);
}

/** Reads the query, and what all caches have in common. */
export function readCacheQuery(url: SplitUrl, options: readonly OptionSpec[]) {
  if (url.host.includes("@")) {
    throw badCacheUrl(
      url,
      `credentials do not belong in a URL; set the environment variables of ${url.scheme}://`,
    );
  }
  const query = readQuery(url, options, "--cache");
  const registryTtlMs = readRegistryTtl(query.text("registry-ttl"), url);
  const common: CacheLocator = { name: redactUrl(url.text), registryTtlMs };
  return { query, common };
}

/** In milliseconds. A bare number is refused, since it could be seconds or minutes. */
function readRegistryTtl(text: string, url: SplitUrl): number {
  if (text === "" || /^[+-]?0$/.test(text)) return 0;
  const [, sign = "", amount = ""] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  const ms = /[a-zµμ]$/.test(amount) ? parseDuration(amount) : undefined;
  if (ms === undefined) {
    throw badCacheUrl(
      url,
      `invalid registry-ttl "${text}"; write a duration with a unit, such as 30s`,
    );
  }
  if (sign === "-" && ms > 0)
    throw badCacheUrl(url, `registry-ttl must be non-negative, got ${text}`);
  return ms;
}
