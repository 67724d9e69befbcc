import type { CacheEntry, CacheItem, CacheStore } from "../../../src/cache/types.ts";
import { RemoteError } from "../../../src/core/error.ts";
import type { VirtualTime } from "./time.ts";

/** One request to the store: the network decides when it is carried out, and what becomes of its answer. */
export interface Operation {
  readonly host: string;
  readonly call: "read" | "write" | "list" | "remove";
  readonly key: string;
  /** Carries it out, at most once. */
  apply(): void;
  /** Delivers the result of {@link apply}. */
  answer(): void;
  /** Delivers an error instead, whether it was carried out or not. */
  fail(reason: string): void;
  /** Whether the client has its answer, or has given up. */
  readonly isOver: boolean;
}

export type Network = (operation: Operation) => void;

interface StoredObject {
  body: Uint8Array<ArrayBuffer>;
  version: string;
  modifiedAt: number;
}

/** A bucket with conditional writes. Its times are whole seconds, as those of S3 are. */
export class Bucket {
  readonly objects: Map<string, StoredObject> = new Map();
  readonly #time: VirtualTime;
  readonly #watch: (key: string, body: string, host: string) => void;
  #versions = 0;
  operations = 0;

  /** @param watch Called after each write. */
  constructor(time: VirtualTime, watch: (key: string, body: string, host: string) => void) {
    this.#time = time;
    this.#watch = watch;
  }

  /** The bucket as one process sees it. A killed process gets no answers, but what it has sent may be carried out. */
  client(host: string, network: Network, isAlive: () => boolean): CacheStore {
    const request = <T>(
      call: Operation["call"],
      key: string,
      signal: AbortSignal | undefined,
      work: () => T,
    ): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        let result: { value: T } | undefined;
        let isOver = false;
        const settle = (deliver: () => void): void => {
          if (isOver) return;
          isOver = true;
          signal?.removeEventListener("abort", onAbort);
          if (isAlive()) deliver();
        };
        const onAbort = (): void => settle(() => reject(signal?.reason));
        signal?.addEventListener("abort", onAbort, { once: true });
        network({
          host,
          call,
          key,
          apply: () => {
            this.operations += 1;
            result ??= { value: work() };
          },
          answer: () => {
            const { value } = result ?? { value: work() };
            settle(() => resolve(value));
          },
          fail: (reason) => settle(() => reject(new RemoteError(reason))),
          get isOver() {
            return isOver || !isAlive();
          },
        });
      });
    const absent = async (): Promise<never> => {
      throw new Error("fleets do not use this");
    };
    return {
      name: "s3://model/bucket",
      read: (key, _, signal) => request("read", key, signal, () => this.#read(key)),
      write: (key, body, { condition, signal } = {}) =>
        request("write", key, signal, () => {
          const found = this.objects.get(key);
          if (condition === "absent" && found !== undefined) return undefined;
          if (typeof condition === "object" && found?.version !== condition.version)
            return undefined;
          return this.put(key, body, host);
        }),
      remove: (key, signal) => request("remove", key, signal, () => void this.objects.delete(key)),
      list: (prefix, signal) => listed(request("list", prefix, signal, () => this.#list(prefix))),
      isAtomic: async () => true,
      open: absent,
      upload: absent,
    };
  }

  put(key: string, body: string | Uint8Array<ArrayBuffer>, host: string): string {
    this.#versions += 1;
    const version = String(this.#versions);
    const modifiedAt = Math.floor(this.#time.now / 1000) * 1000;
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    this.objects.set(key, { body: bytes, version, modifiedAt });
    this.#watch(key, new TextDecoder().decode(bytes), host);
    return version;
  }

  #read(key: string): CacheEntry | undefined {
    const found = this.objects.get(key);
    if (found === undefined) return undefined;
    const { body, version, modifiedAt } = found;
    return { body, version, ageMs: Math.floor(this.#time.now / 1000) * 1000 - modifiedAt };
  }

  #list(prefix: string): CacheItem[] {
    return [...this.objects]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, { body, modifiedAt }]) => ({ key, bytes: body.byteLength, modifiedAt }));
  }
}

async function* listed(items: Promise<CacheItem[]>): AsyncGenerator<CacheItem> {
  yield* await items;
}
