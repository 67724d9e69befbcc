import { describe, expect, test } from "vitest";
import type { Resolution } from "../../src/core/types.ts";
import { memoryCache } from "../../src/http/cache_adapters.ts";
import { latest, type RegistryOptions } from "../../src/registries/open.ts";
import { fakeClock } from "../fakes/clock.ts";
import { APP, type GhrWorld, ghrWorld } from "./github/world.ts";

const REPO = "ghr://acme/app";

/** A GitHub whose answers wait for `open`. */
function gated(): GhrWorld & {
  fetch: typeof globalThis.fetch;
  open: () => void;
  asked: () => number;
} {
  const world = ghrWorld();
  world.github.publish("v1.0.0", APP);
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let asked = 0;
  const fetch: typeof globalThis.fetch = async (input, init) => {
    asked += 1;
    await Promise.race([opened, rejectedBy(init?.signal)]);
    return world.github.fetch(input, init);
  };
  const options = { ...world.options, clock: fakeClock({ now: world.clock.now() }), fetch };
  return { ...world, options, fetch, open, asked: () => asked };
}

function rejectedBy(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

const tagOf = (answer: Resolution): string =>
  answer.kind === "ready" ? answer.release.tag : answer.kind;

describe("questions at the same time", () => {
  test("are one question if they are the same", async () => {
    const world = gated();
    const asked = Array.from({ length: 20 }, () =>
      latest(REPO, {
        ...world.options,
        env: { ...world.options.env },
        exclude: new Set(["v9.0.0"]),
      }),
    );
    world.open();
    expect((await Promise.all(asked)).map(tagOf)).toEqual(Array(20).fill("v1.0.0"));
    expect(world.github.calls).toHaveLength(2);
    // Nothing is kept: the next one asks.
    world.github.publish("v1.1.0", APP);
    expect(tagOf(await latest(REPO, world.options))).toBe("v1.1.0");
  });

  test("give each caller an answer of its own", async () => {
    const world = gated();
    const both = Promise.all([latest(REPO, world.options), latest(REPO, world.options)]);
    world.open();
    const [first, second] = await both;
    expect(second).toEqual(first);
    expect(second).not.toBe(first);
  });

  test.each<[string, RegistryOptions & { exclude?: Iterable<string>; tag?: string }]>([
    ["the token", { token: "ghp_writer" }],
    [
      "the environment",
      { env: { GH_TOKEN: "ghp_writer", GITHUB_API_URL: "https://api.github.test" } },
    ],
    ["the clock", { clock: fakeClock() }],
    ["the receiver of events", { emit: () => {} }],
    ["the cache", { cache: memoryCache() }],
    ["the platform", { platform: { os: "darwin", arch: "arm64" } }],
    ["the artifact", { artifact: "other.zip" }],
    ["the excluded tags", { exclude: new Set(["v1.0.0"]) }],
    ["the tag", { tag: "v1.0.0" }],
    ["the timeout", { timeoutMs: 9_000 }],
  ])("are two if %s differs", async (_, other) => {
    const world = gated();
    const one = latest(REPO, world.options);
    const two = latest(REPO, { ...world.options, ...other });
    world.open();
    await Promise.all([one, two]);
    const alone = gated();
    alone.open();
    await latest(REPO, alone.options);
    expect(world.asked()).toBeGreaterThan(alone.asked());
  });

  test("are two if fetch differs", async () => {
    const world = gated();
    const one = latest(REPO, world.options);
    const two = latest(REPO, { ...world.options, fetch: async () => Response.json([]) });
    world.open();
    expect((await Promise.all([one, two])).map(tagOf)).toEqual(["v1.0.0", "none"]);
  });

  test("survive a caller that aborts, the first one as well", async () => {
    for (const nth of [0, 1]) {
      const world = gated();
      const stops = [new AbortController(), new AbortController()];
      const asked = stops.map(({ signal }) => latest(REPO, { ...world.options, signal }));
      const left = expect(asked[nth]).rejects.toMatchObject({ code: "aborted" });
      stops[nth]?.abort();
      await left;
      world.open();
      expect(tagOf((await asked[1 - nth]) as Resolution)).toBe("v1.0.0");
      expect(world.github.calls).toHaveLength(2);
    }
  });

  test("are aborted with their last caller", async () => {
    const world = gated();
    const stops = [new AbortController(), new AbortController()];
    const asked = stops.map(({ signal }) => latest(REPO, { ...world.options, signal }));
    const ended = Promise.allSettled(asked);
    await expect.poll(world.asked).toBe(1);
    for (const stop of stops) stop.abort();
    expect((await ended).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    world.open();
    expect(tagOf(await latest(REPO, world.options))).toBe("v1.0.0");
    expect(world.github.calls).toHaveLength(2);
  });

  test("do not wait for a question that has died without notice", async () => {
    const world = ghrWorld();
    world.github.publish("v1.0.0", APP);
    const clock = fakeClock();
    let asked = 0;
    const fetch: typeof globalThis.fetch = (input, init) => {
      asked += 1;
      return asked === 1 ? new Promise(() => {}) : world.github.fetch(input, init);
    };
    const options = { ...world.options, fetch, clock };
    const dead = latest(REPO, { ...options, signal: new AbortController().signal });
    dead.catch(() => {});
    const others = Promise.all([latest(REPO, options), latest(REPO, options)]);
    await clock.sleeping(3_000);
    clock.advance(3_000);
    expect((await others).map(tagOf)).toEqual(["v1.0.0", "v1.0.0"]);
    expect(asked).toBe(3);
  });

  test("share a failure, and none after it", async () => {
    const world = gated();
    world.github.visible = false;
    const both = Promise.allSettled([latest(REPO, world.options), latest(REPO, world.options)]);
    world.open();
    expect((await both).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    world.github.visible = true;
    expect(tagOf(await latest(REPO, world.options))).toBe("v1.0.0");
  });
});
