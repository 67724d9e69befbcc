import {
  type CacheApi,
  cacheApiCache,
  type DenoKv,
  denoKvCache,
  kvCache,
  memoryCache,
  type ResponseCache,
  unstorageCache,
} from "dewy/cache";
import { latest } from "dewy/github";
import { equal } from "../../runtime/check.ts";
import type { Cases, Peers, RuntimeKind } from "../case.ts";
import { assertReady, LINUX } from "../check.ts";

/** What only some runtimes have. */
interface Globals {
  caches?: { default?: CacheApi; open(name: string): Promise<CacheApi> };
  Deno?: { openKv(path: string): Promise<DenoKv & { close(): void }> };
}

const { caches, Deno } = globalThis as Globals;

function elsewhere(
  only: readonly RuntimeKind[],
  reason: string,
): Partial<Record<RuntimeKind, string>> {
  const all: RuntimeKind[] = ["node", "deno", "bun", "workerd", "chromium"];
  return Object.fromEntries(
    all.filter((kind) => !only.includes(kind)).map((kind) => [kind, reason]),
  );
}

/** Expects that texts come back as they were, and that the next question to GitHub is conditional. */
async function keeps(cache: ResponseCache, { github }: Peers): Promise<void> {
  const key = `dewy-${crypto.randomUUID()}`;
  equal(await cache.get(key), undefined, "unknown");
  // Deno KV takes several values for it, and unstorage would parse the last one.
  for (const text of [`ä😀${"x".repeat(200_000)}`, "short", '{"json":1}']) {
    await cache.put(key, text, { ttlMs: 60_000 });
    equal((await cache.get(key)) === text, true, text.slice(0, 10));
  }
  const statuses: unknown[] = [];
  const ask = async () =>
    latest("ghr://acme/app", {
      platform: LINUX,
      env: { GITHUB_API_URL: github },
      token: "ghp_reader",
      cache,
      emit: (event) => {
        if (event.type === "request") statuses.push(event.status);
      },
    });
  await ask();
  const first = statuses.length;
  equal(assertReady(await ask()).release.tag, "v1.10.0", "newest");
  equal([...new Set(statuses.slice(first))], [304], "statuses");
}

/** `dewy/cache`: responses, kept where a platform keeps things. */
export const cache: Cases = {
  "memory keeps responses": (peers) => keeps(memoryCache(), peers),

  "the Cache API keeps responses": {
    skip: elsewhere(["deno", "workerd", "chromium"], "the runtime has no Cache API"),
    async run(peers) {
      const name = `dewy-${crypto.randomUUID()}`;
      const store = caches?.default ?? (await caches?.open(name));
      if (store === undefined) throw new Error("no caches");
      await keeps(cacheApiCache(store), peers);
    },
  },

  "a namespace of Workers KV keeps responses": {
    skip: elsewhere(["workerd"], "only Workers have KV namespaces"),
    async run(peers) {
      if (peers.kv === undefined) throw new Error("no binding");
      await keeps(kvCache(peers.kv), peers);
    },
  },

  "Deno KV keeps responses, also those that take several values": {
    skip: elsewhere(["deno"], "only Deno has Deno KV"),
    async run(peers) {
      const kv = await Deno?.openKv(":memory:");
      if (kv === undefined) throw new Error("no Deno.openKv");
      try {
        await keeps(denoKvCache(kv), peers);
      } finally {
        kv.close();
      }
    },
  },

  async "a storage that parses what it reads, as unstorage does, keeps responses"(peers) {
    const kept = new Map<string, string>();
    const parsed = (text: string): unknown => (/^[[{"\d]/.test(text) ? JSON.parse(text) : text);
    const storage = {
      getItem: async (key: string) => parsed(kept.get(key) ?? "") || null,
      setItem: async (key: string, value: string) => void kept.set(key, value),
    };
    await keeps(unstorageCache(storage), peers);
  },
};
