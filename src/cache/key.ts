import { ConfigError } from "../core/error.ts";

/** Resolves `.`, `..` and empty segments; throws for a key that leaves the cache. */
export function normaliseKey(key: string): string {
  const segments: string[] = [];
  for (const segment of key.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment !== "..") segments.push(segment);
    else if (segments.pop() === undefined) throw illegalKey(key);
  }
  return segments.join("/");
}

export function illegalKey(key: string): ConfigError {
  return new ConfigError(
    `Cannot use a cache key: illegal key (path traversal detected): ${key}; use one without ".."`,
  );
}
