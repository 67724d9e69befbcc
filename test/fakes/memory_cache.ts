import type { CacheItem, CacheStore } from "../../src/cache/types.ts";
import { IntegrityError, RemoteError } from "../../src/core/error.ts";

export type CacheCall = keyof Omit<CacheStore, "name">;

export interface MemoryCacheOptions {
  /** The time of the store. Defaults to the system's. */
  now?: () => number;
  /** Whether conditions are obeyed. Defaults to true; otherwise every write overwrites. */
  isAtomic?: boolean;
  /** Whether reads tell the age of an object. Defaults to true. */
  tellsAge?: boolean;
  /** Called before each operation; what it throws is what the operation rejects with. */
  before?: (call: CacheCall, key: string) => void | Promise<void>;
  /** Called after each operation has changed the store: what it throws looks like a lost answer. */
  after?: (call: CacheCall, key: string) => void | Promise<void>;
}

export interface MemoryCache extends CacheStore {
  readonly objects: Map<string, StoredObject>;
  readonly calls: readonly { call: CacheCall; key: string }[];
  /** How often an operation was called, of all keys that begin with `prefix`. */
  count(call: CacheCall, prefix?: string): number;
  /** The object as text. */
  text(key: string): string | undefined;
  options: MemoryCacheOptions;
}

export interface StoredObject {
  body: Uint8Array<ArrayBuffer>;
  version: string;
  modifiedAt: number;
}

/** A store that is down. */
export function unreachable(): never {
  throw new RemoteError("Cannot reach the cache: connection refused");
}

/** A cache in memory, with conditional writes. */
export function memoryCache(options: MemoryCacheOptions = {}): MemoryCache {
  const objects = new Map<string, StoredObject>();
  const calls: { call: CacheCall; key: string }[] = [];
  let versions = 0;

  const put = (key: string, body: Uint8Array<ArrayBuffer>): string => {
    versions += 1;
    const modifiedAt = (cache.options.now ?? Date.now)();
    objects.set(key, { body, version: String(versions), modifiedAt });
    return String(versions);
  };
  const during = async <T>(
    call: CacheCall,
    key: string,
    signal: AbortSignal | undefined,
    work: () => T | Promise<T>,
  ): Promise<T> => {
    calls.push({ call, key });
    signal?.throwIfAborted();
    await cache.options.before?.(call, key);
    signal?.throwIfAborted();
    const result = await work();
    await cache.options.after?.(call, key);
    return result;
  };

  const cache: MemoryCache = {
    name: "memory://cache",
    objects,
    calls,
    options,
    count: (call, prefix = "") =>
      calls.filter((one) => one.call === call && one.key.startsWith(prefix)).length,
    text: (key) => {
      const found = objects.get(key);
      return found && new TextDecoder().decode(found.body);
    },
    read: (key, maxBytes, signal) =>
      during("read", key, signal, () => {
        const found = objects.get(key);
        if (found === undefined) return undefined;
        if (found.body.byteLength > maxBytes) throw tooLarge(key, maxBytes);
        const age = (cache.options.now ?? Date.now)() - found.modifiedAt;
        const ageMs = cache.options.tellsAge === false ? undefined : age;
        return { body: found.body.slice(), version: found.version, ageMs };
      }),
    open: (key, { offset = 0, signal }) =>
      during("open", key, signal, () => {
        const found = objects.get(key);
        return found && new Blob([found.body.slice(offset)]).stream();
      }),
    write: (key, body, { condition, signal } = {}) =>
      during("write", key, signal, () => {
        const found = objects.get(key);
        const isAtomic = cache.options.isAtomic ?? true;
        if (isAtomic && condition === "absent" && found !== undefined) return undefined;
        if (isAtomic && typeof condition === "object" && found?.version !== condition.version) {
          return undefined;
        }
        return put(key, typeof body === "string" ? new TextEncoder().encode(body) : body.slice());
      }),
    upload: (key, body, signal) =>
      during("upload", key, signal, async () => {
        const bytes = new Uint8Array(await new Response(body.open(0)).arrayBuffer());
        if (bytes.byteLength !== body.bytes) throw new Error("the body has another length");
        if (!objects.has(key)) put(key, bytes);
      }),
    remove: (key, signal) => during("remove", key, signal, () => void objects.delete(key)),
    async *list(prefix, signal) {
      const items = await during("list", prefix, signal, (): CacheItem[] =>
        [...objects]
          .filter(([key]) => key.startsWith(prefix))
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, { body, modifiedAt }]) => ({ key, bytes: body.byteLength, modifiedAt })),
      );
      yield* items;
    },
    isAtomic: (signal) => during("isAtomic", "", signal, () => cache.options.isAtomic ?? true),
  };
  return cache;
}

function tooLarge(key: string, maxBytes: number): IntegrityError {
  return new IntegrityError(`Cannot read "${key}": it has more than ${maxBytes} bytes`);
}
