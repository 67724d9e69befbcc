/**
 * Caches for the option `cache`: responses of registries, kept where your platform keeps things.
 *
 * @module
 */
import type { ResponseCache } from "./response_cache.ts";

export type { ResponseCache } from "./response_cache.ts";

/** Options of {@link memoryCache}. */
export interface MemoryCacheOptions {
  /** The number of responses to keep; the one that was used longest ago is dropped. Defaults to 100. */
  maxEntries?: number;
}

/**
 * A cache in memory, for a process or an isolate that answers more than once.
 *
 * @example
 * ```ts
 * import { memoryCache } from "dewy/cache";
 *
 * const cache = memoryCache({ maxEntries: 1 });
 * await cache.put("a", "1");
 * await cache.put("b", "2");
 * if ((await cache.get("a")) !== undefined) throw new Error("dropped");
 * ```
 */
export function memoryCache({ maxEntries = 100 }: MemoryCacheOptions = {}): ResponseCache {
  const kept = new Map<string, string>();
  return {
    async get(key) {
      const value = kept.get(key);
      if (value !== undefined && kept.delete(key)) kept.set(key, value);
      return value;
    },
    async put(key, value) {
      kept.delete(key);
      kept.set(key, value);
      const [oldest] = kept.keys();
      if (kept.size > maxEntries && oldest !== undefined) kept.delete(oldest);
    },
  };
}

/** The part of `Cache` that {@link cacheApiCache} uses. */
export interface CacheApi {
  /** Finds a response by its URL. */
  match(url: string): Promise<Response | undefined>;
  /** Stores a response. */
  put(url: string, response: Response): Promise<void>;
}

/**
 * The Cache API of Workers, Deno and browsers: `caches.default`, or what `caches.open` gives.
 *
 * @example
 * ```ts
 * import { cacheApiCache } from "dewy/cache";
 *
 * const kept = new Map<string, Response>();
 * const cache = cacheApiCache({
 *   match: async (url) => kept.get(url)?.clone(),
 *   put: async (url, response) => void kept.set(url, response),
 * });
 * await cache.put("a", "1");
 * if ((await cache.get("a")) !== "1") throw new Error("unexpected");
 * ```
 */
export function cacheApiCache(cache: CacheApi): ResponseCache {
  // The name of no server: https://www.rfc-editor.org/rfc/rfc6761#section-6.4
  const urlOf = (key: string): string => `https://dewy.invalid/${encodeURIComponent(key)}`;
  return {
    get: async (key) => (await cache.match(urlOf(key)))?.text(),
    put(key, value, { ttlMs } = {}) {
      const headers: Record<string, string> = { "content-type": "text/plain; charset=utf-8" };
      if (ttlMs !== undefined) headers["cache-control"] = `max-age=${secondsOf(ttlMs)}`;
      return cache.put(urlOf(key), new Response(value, { headers }));
    },
  };
}

/** The part of a Workers KV namespace that {@link kvCache} uses. */
export interface KvNamespace {
  /** Gets a text; `null` if there is none. */
  get(key: string): Promise<string | null>;
  /** Stores a text. */
  put(key: string, value: string, options?: { expirationTtl?: number }): Promise<void>;
}

/**
 * A KV namespace of Cloudflare Workers. A write takes up to a minute to be seen everywhere.
 *
 * @example
 * ```ts
 * import { latest } from "dewy";
 * import { kvCache, type KvNamespace } from "dewy/cache";
 *
 * const answer = (token: string, versions: KvNamespace) =>
 *   latest("ghr://linyows/myapp", { token, cache: kvCache(versions) });
 * if (typeof answer !== "function") throw new Error("unexpected");
 * ```
 */
export function kvCache(namespace: KvNamespace): ResponseCache {
  return {
    get: async (key) => (await namespace.get(key)) ?? undefined,
    put: (key, value, { ttlMs } = {}) =>
      // https://developers.cloudflare.com/kv/api/write-key-value-pairs/: at least 60 seconds
      namespace.put(
        key,
        value,
        ttlMs === undefined ? {} : { expirationTtl: Math.max(60, secondsOf(ttlMs)) },
      ),
  };
}

/** A key of {@link DenoKv}. */
export type DenoKvKey = readonly (string | number)[];

/** The part of `Deno.Kv` that {@link denoKvCache} uses. */
export interface DenoKv {
  /** Gets several values at one point in time. */
  getMany(keys: DenoKvKey[]): Promise<{ value: unknown }[]>;
  /** Begins a transaction. */
  atomic(): DenoKvTransaction;
}

/** A transaction of {@link DenoKv}. */
export interface DenoKvTransaction {
  /** Sets a value. */
  set(key: DenoKvKey, value: unknown, options?: { expireIn?: number }): DenoKvTransaction;
  /** Stores everything, or nothing. */
  commit(): Promise<unknown>;
}

/** A value of Deno KV has at most 64 KiB, a transaction 10 keys that are read and 800 KiB. */
const PART_BYTES = 60_000;
const MAX_PARTS = 10;

/**
 * Deno KV. A response of more than 60 kB takes several values, one of more than 600 kB is not kept.
 *
 * @example
 * ```ts
 * import { latest } from "dewy";
 * import { type DenoKv, denoKvCache } from "dewy/cache";
 *
 * const answer = (kv: DenoKv) => latest("ghr://linyows/myapp", { cache: denoKvCache(kv) });
 * if (typeof answer !== "function") throw new Error("unexpected");
 * ```
 */
export function denoKvCache(kv: DenoKv): ResponseCache {
  const keysOf = (key: string): DenoKvKey[] =>
    Array.from({ length: MAX_PARTS }, (_, part) => ["dewy", key, part]);
  return {
    async get(key) {
      const found = (await kv.getMany(keysOf(key))).map(({ value }) => value);
      const parts: Uint8Array[] = [];
      for (const value of found) {
        if (!(value instanceof Uint8Array)) return undefined;
        parts.push(value);
        if (value.length < PART_BYTES) return new Blob(parts as BlobPart[]).text();
      }
      return undefined;
    },
    async put(key, value, { ttlMs } = {}) {
      const bytes = new TextEncoder().encode(value);
      // The last part is the first that is not full.
      const count = Math.floor(bytes.length / PART_BYTES) + 1;
      if (count > MAX_PARTS) return;
      const transaction = kv.atomic();
      for (const [part, name] of keysOf(key).slice(0, count).entries()) {
        const piece = bytes.slice(part * PART_BYTES, (part + 1) * PART_BYTES);
        transaction.set(name, piece, ttlMs === undefined ? {} : { expireIn: ttlMs });
      }
      await transaction.commit();
    },
  };
}

/** The part of an unstorage `Storage` that {@link unstorageCache} uses. */
export interface Unstorage {
  /** Gets a value; `null` if there is none. */
  getItem(key: string): Promise<unknown>;
  /** Stores a value. */
  setItem(key: string, value: string, options?: { ttl?: number }): Promise<void>;
}

/**
 * A storage of unstorage, such as `useStorage` of Nitro. Drivers that know `ttl` drop old values.
 *
 * @example
 * ```ts
 * import { unstorageCache } from "dewy/cache";
 *
 * const kept = new Map<string, string>();
 * const cache = unstorageCache({
 *   getItem: async (key) => kept.get(key) ?? null,
 *   setItem: async (key, value) => void kept.set(key, value),
 * });
 * await cache.put("a", "1");
 * if ((await cache.get("a")) !== "1") throw new Error("unexpected");
 * ```
 */
export function unstorageCache(storage: Unstorage): ResponseCache {
  // unstorage parses a text that looks like JSON, so ours begins with a sign that does not.
  return {
    async get(key) {
      const value = await storage.getItem(key);
      return typeof value === "string" && value.startsWith("~") ? value.slice(1) : undefined;
    },
    put: (key, value, { ttlMs } = {}) =>
      storage.setItem(key, `~${value}`, ttlMs === undefined ? {} : { ttl: secondsOf(ttlMs) }),
  };
}

function secondsOf(ms: number): number {
  return Math.ceil(ms / 1_000);
}
