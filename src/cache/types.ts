import type { EnvironmentSpec } from "../core/environment.ts";
import type { OptionSpec, SplitUrl } from "../core/url.ts";
import type { RegistryContext } from "../registries/driver.ts";

/** An object of a cache, as it was read. */
export interface CacheEntry {
  body: Uint8Array<ArrayBuffer>;
  /** Identifies these bytes in a condition: an entity tag, a generation. */
  version: string;
  /**
   * How long ago it was written, by the clock of the store (`Date` minus `Last-Modified`), so that a wrong clock of a
   * machine does no harm. Absent if the store does not say.
   */
  ageMs?: number | undefined;
}

/** An object in a listing. */
export interface CacheItem {
  key: string;
  bytes: number;
  /** In milliseconds since the epoch, by the clock of the store. */
  modifiedAt: number;
}

/** What an upload has left behind whose machine died. It takes space, but is not an object yet. */
export interface CacheLeftover extends CacheItem {
  remove(signal?: AbortSignal): Promise<void>;
}

/** What must hold when an object is written: that there is none, or still the one of this version. */
export type WriteCondition = "absent" | { version: string };

export interface WriteOptions {
  condition?: WriteCondition | undefined;
  contentType?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** The bytes of a large object, in parts, and their number. */
export interface CacheBody {
  bytes: number;
  open(offset: number): ReadableStream<Uint8Array>;
}

/** Objects that machines share. Keys are relative, with `/` between their parts. */
export interface CacheStore {
  /** For messages: the URL without secrets. */
  readonly name: string;
  /** `undefined` if there is no such object. Rejects with an IntegrityError if it has more than `maxBytes`. */
  read(key: string, maxBytes: number, signal?: AbortSignal): Promise<CacheEntry | undefined>;
  /** Streams a large object; `undefined` if there is none. */
  open(
    key: string,
    options: { offset?: number | undefined; signal?: AbortSignal | undefined },
  ): Promise<ReadableStream<Uint8Array> | undefined>;
  /**
   * Writes a small object. Returns its version; `undefined` if the condition does not hold. A conditional write is sent
   * once. If it rejects, it may have happened all the same: read the object again.
   */
  write(
    key: string,
    body: string | Uint8Array<ArrayBuffer>,
    options?: WriteOptions,
  ): Promise<string | undefined>;
  /**
   * Writes a large object, unless there is one already. Rejects with an IntegrityError, and writes nothing, if the body
   * does not have the bytes that it states.
   */
  upload(key: string, body: CacheBody, signal?: AbortSignal): Promise<void>;
  /** Succeeds if there is no such object. */
  remove(key: string, signal?: AbortSignal): Promise<void>;
  list(prefix: string, signal?: AbortSignal): AsyncIterable<CacheItem>;
  /** Uploads that have begun and not ended. Absent if the store removes them itself. */
  leftovers?(prefix: string, signal?: AbortSignal): AsyncIterable<CacheLeftover>;
  /**
   * Whether conditions are obeyed, as tried with two objects of its own. Asked once at the start of what needs them: the
   * shared answer of the registry, and fleets.
   */
  isAtomic(signal?: AbortSignal): Promise<boolean>;
}

/** The URL of `--cache`, as read. */
export interface CacheLocator {
  /** The URL without secrets. */
  name: string;
  /** How long an answer of the registry is shared; 0 if it is not. */
  registryTtlMs: number;
}

/** One kind of cache. To add one, make a folder and add a line to the table. */
export interface CacheDriver<L extends CacheLocator = CacheLocator> {
  readonly scheme: string;
  readonly name: string;
  readonly syntax: string;
  readonly example: string;
  readonly options: readonly OptionSpec[];
  readonly environment: readonly EnvironmentSpec[];
  /** Throws a ConfigError that names `--cache`. */
  parse(url: SplitUrl): L;
  /** No request is sent until one of its methods is called. */
  open(locator: L, context: RegistryContext): CacheStore | Promise<CacheStore>;
}

export type CacheTable = Readonly<Record<string, CacheDriver>>;
