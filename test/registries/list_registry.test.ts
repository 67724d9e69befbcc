import { describe, expect, test } from "vitest";
import type { LocatorBase, RegistryContext } from "../../src/registries/driver.ts";
import { listRegistry } from "../../src/registries/list_registry.ts";
import { explainRegistry } from "../../src/registries/open.ts";
import type { ReleaseSource } from "../../src/resolve/resolve.ts";

const NOW = Date.UTC(2026, 5, 1);
const locator: LocatorBase = {
  type: "test",
  url: "test://here?token=…",
  artifact: "",
  preRelease: false,
  calver: "",
  constraint: "",
  slot: "",
};

function io(signal?: AbortSignal): RegistryContext {
  return {
    platform: { os: "linux", arch: "amd64" },
    env: {},
    fetch: () => Promise.reject(new Error("unexpected call")),
    clock: {
      now: () => NOW,
      monotonic: () => NOW,
      sleep: () => Promise.reject(new Error("unexpected sleep")),
    },
    emit: () => {},
    ...(signal === undefined ? {} : { signal }),
  };
}

function source(tags: readonly string[], seen: (AbortSignal | undefined)[] = []): ReleaseSource {
  return {
    async *tags(signal) {
      seen.push(signal);
      for (const tag of tags) yield { tag };
    },
    release: async (tag, signal) => {
      seen.push(signal);
      return {
        id: tag,
        createdAt: new Date(NOW - 29 * 60_000),
        files: tag === "v2.0.0" ? [] : [{ name: "a_linux_amd64.zip", url: "test://a" }],
      };
    },
  };
}

const open = (): Promise<ReadableStream<Uint8Array>> =>
  Promise.reject(new Error("unexpected open"));

describe("listRegistry", () => {
  test("lists once for all questions about one poll, and again for the next", async () => {
    let listings = 0;
    const listed = source(["v1.0.0", "v2.0.0"]);
    const counted: ReleaseSource = {
      ...listed,
      async *tags(signal) {
        listings += 1;
        yield* listed.tags(signal);
      },
    };
    const registry = listRegistry({ locator, io: io(), source: counted, open });
    const { resolve } = registry;
    await resolve();
    expect(await resolve({ exclude: ["v2.0.0"], maxAgeMs: 60_000 })).toMatchObject({
      release: { tag: "v1.0.0" },
    });
    expect(await resolve({ exclude: ["v1.0.0", "v2.0.0"], maxAgeMs: 60_000 })).toMatchObject({
      kind: "none",
    });
    expect(listings).toBe(1);
    await resolve();
    expect(listings).toBe(2);
  });

  test("answers by the locator, the platform and the clock of its context", async () => {
    const registry = listRegistry({
      locator,
      io: io(),
      source: source(["v1.0.0", "v2.0.0"]),
      open,
    });
    expect(await registry.resolve()).toMatchObject({ kind: "pending", tag: "v2.0.0" });
    expect(await registry.resolve({ exclude: ["v2.0.0"] })).toMatchObject({
      kind: "ready",
      release: { tag: "v1.0.0" },
    });
    const only1 = listRegistry({
      locator: { ...locator, constraint: "^1" },
      io: io(),
      source: source(["v1.0.0", "v2.0.0"]),
      open,
    });
    expect(await only1.resolve()).toMatchObject({ kind: "ready", release: { tag: "v1.0.0" } });
  });

  test("explains with the registry's printable URL", async () => {
    const registry = listRegistry({ locator, io: io(), source: source(["v1.0.0"]), open });
    expect(await explainRegistry(registry)).toMatchObject({
      registry: "test://here?token=…",
      tags: [{ tag: "v1.0.0", chosen: true }],
      artifacts: [{ chosen: true }],
    });
  });

  test("has report and exists only when it was given them", () => {
    const bare = listRegistry({ locator, io: io(), source: source([]), open });
    expect(bare).toMatchObject({ report: undefined, exists: undefined });
    const report = async (): Promise<void> => {};
    const exists = async (): Promise<boolean> => true;
    const full = listRegistry({ locator, io: io(), source: source([]), open, report, exists });
    expect([full.open, full.report, full.exists]).toEqual([open, report, exists]);
  });

  test.each(["the call's", "the context's"])("ends with %s signal", async (whose) => {
    const call = new AbortController();
    const world = new AbortController();
    const seen: (AbortSignal | undefined)[] = [];
    const registry = listRegistry({
      locator,
      io: io(world.signal),
      source: source(["v1.0.0"], seen),
      open,
    });
    await registry.resolve({ signal: call.signal });
    expect(seen.map((signal) => signal?.aborted)).toEqual([false, false]);
    (whose === "the call's" ? call : world).abort();
    expect(seen.map((signal) => signal?.aborted)).toEqual([true, true]);
  });
});
