import { describe, expect, test } from "vitest";
import {
  cacheApiCache,
  denoKvCache,
  kvCache,
  memoryCache,
  type ResponseCache,
  unstorageCache,
} from "../../src/http/cache_adapters.ts";
import { createHttpClient, type HttpRequest } from "../../src/http/client.ts";
import { latest } from "../../src/registries/open.ts";
import { fakeClock } from "../fakes/clock.ts";
import { APP, ghrWorld } from "../registries/github/world.ts";

const REPO = "ghr://acme/app";
const URL_OF_LIST = "https://example.test/list";

/** A cache that shows what is in it. */
function openCache(): ResponseCache & { kept: Map<string, string> } {
  const kept = new Map<string, string>();
  return {
    kept,
    get: async (key) => kept.get(key),
    put: async (key, value) => void kept.set(key, value),
  };
}

/** A server with an ETag for each body, and a client with the cache. */
function server(cache: ResponseCache, headers: Record<string, string> = {}) {
  const state = { body: "one", statuses: [] as number[] };
  const fetch: typeof globalThis.fetch = async (_url, init) => {
    const etag = `"${state.body.slice(0, 20)}"`;
    const isKnown = new Headers(init?.headers).get("if-none-match") === etag;
    state.statuses.push(isKnown ? 304 : 200);
    const answered = { etag, "x-fresh": String(state.statuses.length), ...headers };
    return isKnown
      ? new Response(null, { status: 304, headers: answered })
      : new Response(state.body, { headers: answered });
  };
  const clock = fakeClock({ skipUpTo: 10_000 });
  const client = createHttpClient({ fetch, clock, emit: () => {}, cache });
  const ask = (request: Partial<HttpRequest> = {}) =>
    client.text({ url: URL_OF_LIST, cacheable: true, ...request });
  return { ...client, state, ask };
}

describe("the cache of responses", () => {
  test("gives a cold call on GitHub free answers, with a token", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    const cache = memoryCache();
    const first = await latest(REPO, { ...world.options, cache });
    const left = world.github.remaining("ghp_reader");
    expect(await latest(REPO, { ...world.options, cache })).toEqual(first);
    expect(world.github.calls.map(({ status }) => status)).toEqual([200, 200, 304, 304]);
    expect(world.github.remaining("ghp_reader")).toBe(left);

    world.github.publish("v1.1.0", APP);
    const next = await latest(REPO, { ...world.options, cache });
    expect(next).toMatchObject({ release: { tag: "v1.1.0" } });
  });

  test("never holds a credential, and never answers for another one", async () => {
    const world = ghrWorld({ github: { isPrivate: true } });
    world.github.publish("v1.0.0", APP);
    const cache = openCache();
    await latest(REPO, { ...world.options, cache });
    expect(cache.kept.size).toBe(2);
    expect(JSON.stringify([...cache.kept])).not.toContain("ghp_reader");
    const env = { GITHUB_API_URL: world.github.urls.api };
    await expect(latest(REPO, { ...world.options, env, cache })).rejects.toMatchObject({
      code: "not-found",
    });
    expect(world.github.calls.filter(({ status }) => status === 304)).toEqual([]);
  });

  test("answers with the kept body and the fresh headers after a 304", async () => {
    const { ask, state } = server(memoryCache(), { link: '<https://a.test>; rel="next"' });
    expect((await ask()).text).toBe("one");
    const again = await ask();
    expect(again).toMatchObject({ status: 200, text: "one" });
    expect([again.headers.get("x-fresh"), again.headers.get("link")]).toEqual([
      "2",
      '<https://a.test>; rel="next"',
    ]);
    state.body = "two";
    expect([(await ask()).text, (await ask()).text]).toEqual(["two", "two"]);
    expect(state.statuses).toEqual([200, 304, 200, 304]);
  });

  test("keeps responses apart by URL, Accept and credential", async () => {
    const cache = openCache();
    const { ask } = server(cache);
    const asked: Record<string, string>[] = [{}, { accept: "a/b" }, { authorization: "Bearer a" }];
    for (const headers of asked) {
      await ask({ headers });
      await ask({ headers });
    }
    await ask({ url: `${URL_OF_LIST}?page=2` });
    expect(cache.kept.size).toBe(4);
  });

  test("keeps nothing that is not declared as cacheable, has no ETag or is too long", async () => {
    const cache = openCache();
    await server(cache).ask({ cacheable: false });
    await server(cache, { "cache-control": "private, no-store" }).ask();
    const long = server(cache);
    long.state.body = "x".repeat(1_000_001);
    await long.ask();
    const fetch = async (): Promise<Response> => new Response("no ETag");
    const plain = createHttpClient({ fetch, clock: fakeClock(), emit: () => {}, cache });
    await plain.text({ url: URL_OF_LIST, cacheable: true });
    expect(cache.kept.size).toBe(0);
  });

  test.each([
    ["rejects", () => Promise.reject(new Error("down"))],
    [
      "throws",
      () => {
        throw new Error("down");
      },
    ],
    ["hangs", () => new Promise<never>(() => {})],
    ["returns something else", async () => "dewy 1\nnot JSON\nbody"],
  ])("does without a cache that %s", async (_, get: () => Promise<string>) => {
    const { ask } = server({ get, put: async () => void (await get()) });
    expect(await ask()).toMatchObject({ status: 200, text: "one" });
    expect(await ask()).toMatchObject({ status: 200, text: "one" });
  });
});

describe.each<[string, () => { cache: ResponseCache; ttl: () => unknown }]>([
  ["memoryCache", () => ({ cache: memoryCache(), ttl: () => 90 })],
  [
    "cacheApiCache",
    () => {
      const kept = new Map<string, Response>();
      let control: string | null | undefined;
      const cache = cacheApiCache({
        match: async (url) => kept.get(new Request(url).url)?.clone(),
        async put(url, response) {
          control = response.headers.get("cache-control");
          kept.set(new Request(url).url, response);
        },
      });
      return { cache, ttl: () => Number(control?.replace("max-age=", "")) };
    },
  ],
  [
    "kvCache",
    () => {
      const kept = new Map<string, string>();
      let seconds: number | undefined;
      const cache = kvCache({
        get: async (key) => kept.get(key) ?? null,
        async put(key, value, options) {
          seconds = options?.expirationTtl;
          kept.set(key, value);
        },
      });
      return { cache, ttl: () => seconds };
    },
  ],
  [
    "denoKvCache",
    () => {
      const kept = new Map<string, unknown>();
      let ms: number | undefined;
      const name = (key: readonly unknown[]): string => JSON.stringify(key);
      const cache = denoKvCache({
        getMany: async (keys) => keys.map((key) => ({ value: kept.get(name(key)) ?? null })),
        atomic() {
          return {
            set(key, value, options) {
              if (!(value instanceof Uint8Array) || value.length > 65_536) throw new Error("limit");
              ms = options?.expireIn;
              kept.set(name(key), value);
              return this;
            },
            commit: async () => ({ ok: true }),
          };
        },
      });
      return { cache, ttl: () => (ms ?? 0) / 1_000 };
    },
  ],
  [
    "unstorageCache",
    () => {
      const kept = new Map<string, string>();
      let seconds: number | undefined;
      const cache = unstorageCache({
        async getItem(key) {
          const value = kept.get(key);
          if (value === undefined) return null;
          return /^[\s"[{\d-]|^(true|null)$/.test(value) ? JSON.parse(value) : value;
        },
        async setItem(key, value, options) {
          seconds = options?.ttl;
          kept.set(key, value);
        },
      });
      return { cache, ttl: () => seconds };
    },
  ],
])("%s", (_, make) => {
  test("returns what was put, until it is replaced", async () => {
    const { cache } = make();
    expect(await cache.get("dewy-1")).toBeUndefined();
    for (const value of [
      "text",
      "",
      '{"a":1}',
      "✓ and \n lines",
      "ä".repeat(90_000),
      "0".repeat(60_000),
    ]) {
      await cache.put("dewy-1", value);
      expect(await cache.get("dewy-1")).toBe(value);
    }
    expect(await cache.get("dewy-2")).toBeUndefined();
  });

  test("passes the time to live on, where the store has one", async () => {
    const { cache, ttl } = make();
    await cache.put("dewy-1", "text", { ttlMs: 90_000 });
    expect(ttl()).toBe(90);
  });
});

test("memoryCache drops the entry that was used longest ago", async () => {
  const cache = memoryCache({ maxEntries: 2 });
  await cache.put("a", "1");
  await cache.put("b", "2");
  await cache.get("a");
  await cache.put("c", "3");
  expect(await Promise.all(["a", "b", "c"].map((key) => cache.get(key)))).toEqual([
    "1",
    undefined,
    "3",
  ]);
});

test("denoKvCache does not keep what is too large for a transaction", async () => {
  const cache = denoKvCache({
    getMany: async (keys) => keys.map(() => ({ value: null })),
    atomic: () => {
      throw new Error("not expected");
    },
  });
  await cache.put("a", "x".repeat(600_000));
});
