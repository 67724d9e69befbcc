import { describe, expect, test } from "vitest";
import { type SharedRegistryOptions, shareRegistry } from "../../src/cache/shared_registry.ts";
import { SharedStore } from "../../src/cache/shared_store.ts";
import type { Clock } from "../../src/core/clock.ts";
import { CredentialError, RemoteError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { Registry, Resolution, ResolveOptions } from "../../src/core/types.ts";
import { parseVersion } from "../../src/version/version.ts";
import { type FakeClock, fakeClock, hastyClock } from "../fakes/clock.ts";
import { type MemoryCacheOptions, memoryCache, unreachable } from "../fakes/memory_cache.ts";

const TTL_MS = 60_000;
const OPERATION_MS = 10_000;
const KEY = "registry-cache/6a3ac88e9034e0d9.json";

function ready(tag: string): Resolution {
  const version = parseVersion(tag);
  if (version === undefined) throw new Error(`${tag} is not a version`);
  const createdAt = new Date("2026-01-01T00:00:00.500Z");
  const file = { name: "app.tar.gz", url: `ghr://owner/repo/tag/${tag}/app.tar.gz`, size: 3 };
  const artifact = { ...file, digest: `sha256:${"ab".repeat(32)}` };
  const files = [artifact, { name: "app.sig", url: `ghr://owner/repo/tag/${tag}/app.sig` }];
  const slot = version.buildMetadata || undefined;
  return { kind: "ready", release: { id: "7", tag, version, createdAt, slot }, artifact, files };
}

interface HostOptions extends Partial<SharedRegistryOptions> {
  skewMs?: number;
  clock?: Clock;
  random?: () => number;
}

/** A fleet with one store, one registry and one clock that all agree on, unless a host's is set wrong. */
function fleet(options: MemoryCacheOptions = {}) {
  const clock = fakeClock({ skipUpTo: 2_000 });
  const store = memoryCache({ now: clock.monotonic, ...options });
  const asked: ResolveOptions[] = [];
  const upstream = {
    asked,
    tag: "v1.2.3",
    during: async (): Promise<void> => {},
  };
  const registry: Registry = {
    async resolve(question = {}) {
      asked.push(question);
      await upstream.during();
      for (const tag of ["v1.2.2", upstream.tag]) question.onTag?.(tag);
      return ready(upstream.tag);
    },
    open: () => Promise.reject(new Error("unexpected")),
  };
  const host = (name: string, more: HostOptions = {}) => {
    const events: DewyEvent[] = [];
    const { skewMs = 0, clock: itsClock, random, ...overrides } = more;
    const machine = new SharedStore({
      store,
      node: `${name}:42`,
      clock: itsClock ?? { ...clock, now: () => clock.now() + skewMs },
      emit: (event) => events.push(event),
      random,
    });
    const shared = shareRegistry(registry, machine, {
      ttlMs: TTL_MS,
      scope: "ghr://owner/repo",
      platform: { os: "linux", arch: "amd64", libc: "glibc" },
      calver: "",
      ...overrides,
    });
    const poll = async (question?: ResolveOptions): Promise<string | undefined> => {
      const answer = await shared.resolve(question);
      return answer.kind === "none" ? undefined : "tag" in answer ? answer.tag : answer.release.tag;
    };
    const warnings = () => events.filter(({ type }) => type === "warning");
    return { shared, poll, warnings, events };
  };
  return { clock, store, upstream, host };
}

describe("a shared answer", () => {
  test("costs the registry one question a window, however many hosts ask", async () => {
    const { clock, host, upstream } = fleet();
    const hosts = Array.from({ length: 20 }, (_, index) => host(`host-${index}`));
    for (let window = 0; window < 3; window += 1) {
      const tags = await Promise.all(hosts.map(({ poll }) => poll()));
      expect(new Set(tags)).toEqual(new Set(["v1.2.3"]));
      expect(upstream.asked).toHaveLength(window + 1);
      clock.advance(TTL_MS);
    }
  });

  test("is what the registry said, to the last file and tag", async () => {
    const { host } = fleet();
    const first = await host("a").shared.resolve();
    const tags: string[] = [];
    const second = await host("b").shared.resolve({ onTag: (tag) => tags.push(tag) });
    expect(second).toEqual(first);
    expect(second).toEqual(ready("v1.2.3"));
    expect(tags).toEqual(["v1.2.2", "v1.2.3"]);
  });

  test.each<Resolution>([
    { kind: "none", reason: "empty", message: "the repository has no releases" },
    {
      kind: "pending",
      tag: "v2.0.0",
      reason: "artifact-missing",
      since: new Date(0),
      message: "?",
    },
  ])("may be that there is nothing to deploy: $kind", async (answer) => {
    const { store, clock } = fleet();
    const registry: Registry = { resolve: async () => answer, open: () => Promise.reject() };
    const platform = { os: "linux", arch: "amd64" };
    const options = { ttlMs: TTL_MS, scope: "s", platform, calver: "" };
    const machine = (node: string) => new SharedStore({ store, node, clock, emit: () => {} });
    await shareRegistry(registry, machine("a:1"), options).resolve();
    const unasked: Registry = { ...registry, resolve: () => Promise.reject(new Error("asked")) };
    const second = await shareRegistry(unasked, machine("b:1"), options).resolve();
    expect(second).toEqual(answer);
  });

  test("differs for hosts that exclude other tags, that have other platforms, other URLs", async () => {
    const { host, upstream } = fleet();
    await host("a").poll();
    await host("b").poll({ exclude: ["v1.2.3"] });
    await host("c").poll({ exclude: ["v1.2.3", "v1.2.3"] });
    await host("d", { platform: { os: "linux", arch: "arm64" } }).poll();
    await host("e", { platform: { os: "linux", arch: "amd64", libc: "musl" } }).poll();
    await host("f", { scope: "ghr://owner/other" }).poll();
    expect(upstream.asked).toHaveLength(5);
  });

  test("does not replace the answer to an operator's question", async () => {
    const { host, upstream } = fleet();
    await host("a").poll();
    await host("a").poll({ tag: "v1.2.3" });
    await host("a").poll({ explain: true });
    expect(upstream.asked).toHaveLength(3);
  });
});

describe("a host that is woken", () => {
  test("is not given an answer of before, and a crowd costs one question", async () => {
    const clock = hastyClock();
    const { host, upstream } = fleet({ now: () => clock.monotonic() });
    const hosts = Array.from({ length: 20 }, (_, index) => host(`host-${index}`, { clock }));
    upstream.during = () => clock.sleep(800);
    expect(await hosts[0]?.poll()).toBe("v1.2.3");
    upstream.tag = "v1.3.0";
    const answers = hosts.map(async ({ shared, poll }, index) => {
      await clock.sleep(index * 20);
      shared.refresh?.();
      return await poll();
    });
    expect(new Set(await Promise.all(answers))).toEqual(new Set(["v1.3.0"]));
    expect(upstream.asked).toHaveLength(2);
    for (const { poll } of hosts) expect(await poll()).toBe("v1.3.0");
    expect(upstream.asked).toHaveLength(2);
  });

  test("is not given the answer to a question that was asked before", async () => {
    const clock = hastyClock();
    const { host, upstream } = fleet({ now: () => clock.monotonic() });
    const [a, b] = [host("a", { clock }), host("b", { clock })];
    upstream.during = () => clock.sleep(5000);
    const first = a.poll();
    await until(() => upstream.asked.length === 1);
    await clock.sleep(1000);
    b.shared.refresh?.();
    const second = b.poll();
    expect(await first).toBe("v1.2.3");
    upstream.tag = "v1.3.0";
    expect(await second).toBe("v1.3.0");
    expect(upstream.asked).toHaveLength(2);
  });
});

test("is an event: a hit, a miss, or a failure of the store", async () => {
  const { clock, host, store } = fleet();
  const [a, b] = [host("a"), host("b")];
  await a.poll();
  await b.poll();
  store.options.before = unreachable;
  clock.advance(TTL_MS);
  await b.poll();
  const answer = { type: "cache", what: "answer" };
  expect(a.events).toEqual([{ ...answer, outcome: "miss" }]);
  expect(b.events.filter(({ type }) => type === "cache")).toEqual([
    { ...answer, outcome: "hit" },
    { ...answer, outcome: "failed" },
  ]);
});

describe("a registry that fails", () => {
  test("leaves the last answer to all, and is asked once a window", async () => {
    const { clock, host, upstream } = fleet();
    const hosts = [host("a"), host("b"), host("c")];
    await hosts[0]?.poll();
    upstream.during = () => Promise.reject(new RemoteError("503"));
    for (let window = 0; window < 2; window += 1) {
      clock.advance(TTL_MS);
      for (const { poll } of hosts) expect(await poll()).toBe("v1.2.3");
    }
    expect(upstream.asked).toHaveLength(3);
    expect(hosts[0]?.warnings()).toHaveLength(1);
    upstream.during = async () => {};
    upstream.tag = "v1.3.0";
    clock.advance(TTL_MS);
    for (const { poll } of hosts) expect(await poll()).toBe("v1.3.0");
  });

  test("without an answer is an error, and the next host asks at once", async () => {
    const { clock, host, upstream } = fleet();
    upstream.during = () => Promise.reject(new RemoteError("503"));
    await expect(host("a").poll()).rejects.toThrow("503");
    upstream.during = async () => {};
    const before = clock.monotonic();
    expect(await host("b").poll()).toBe("v1.2.3");
    expect(clock.monotonic()).toBe(before);
  });

  test("of one host only, for its credentials, leaves the question to the next", async () => {
    const { clock, host, upstream } = fleet();
    await host("a").poll();
    clock.advance(TTL_MS);
    upstream.during = () => Promise.reject(new CredentialError("401"));
    expect(await host("a").poll()).toBe("v1.2.3");
    upstream.during = async () => {};
    upstream.tag = "v1.3.0";
    expect(await host("b").poll()).toBe("v1.3.0");
  });
});

describe("a host that asks for all", () => {
  test("and dies is replaced when its claim has expired", async () => {
    const { clock, host, upstream } = fleet();
    upstream.during = () => new Promise(() => {});
    void host("dead").poll();
    await until(() => upstream.asked.length === 1);
    upstream.during = async () => {};
    expect(await host("b").poll()).toBe("v1.2.3");
    expect(upstream.asked).toHaveLength(2);
    clock.advance(2 * TTL_MS);
    expect(await host("c").poll()).toBe("v1.2.3");
    expect(await host("d").poll()).toBe("v1.2.3");
    expect(upstream.asked).toHaveLength(3);
  });

  test("and dies costs the others five seconds and no answer", async () => {
    const { clock, host, upstream } = fleet();
    await host("a").poll();
    clock.advance(TTL_MS);
    upstream.during = () => new Promise(() => {});
    void host("dead").poll();
    await until(() => upstream.asked.length === 2);
    const before = clock.monotonic();
    expect(await host("b").poll()).toBe("v1.2.3");
    expect(clock.monotonic() - before).toBeLessThan(8_000);
    expect(upstream.asked).toHaveLength(2);
  });

  test("and is slow is awaited, and its answer is taken", async () => {
    const { host, upstream } = fleet();
    let answered = (): void => {};
    upstream.during = () => new Promise((resolve) => (answered = resolve));
    const first = host("a").poll();
    await until(() => upstream.asked.length === 1);
    const itsOwn = fakeClock();
    const second = host("b", { clock: itsOwn, random: () => 1 }).poll();
    await itsOwn.sleeping(250);
    answered();
    expect(await first).toBe("v1.2.3");
    itsOwn.advance(250);
    expect(await second).toBe("v1.2.3");
    expect(upstream.asked).toHaveLength(1);
  });
});

describe("clocks", () => {
  test.each([-4, 4])(
    "wrong by %i minutes cost no question, if the store tells ages",
    async (minutes) => {
      const { clock, host, upstream } = fleet();
      const hosts = [host("a"), host("b", { skewMs: minutes * 60_000 }), host("c")];
      for (let poll = 0; poll < 12; poll += 1) {
        for (const one of hosts) await one.poll();
        clock.advance(TTL_MS / 4);
      }
      expect(upstream.asked).toHaveLength(3);
    },
  );

  test.each([-4, 4])("wrong by %i minutes delay no release, if it does not", async (minutes) => {
    const { clock, host, upstream } = fleet({ tellsAge: false });
    const hosts = [host("a"), host("b", { skewMs: minutes * 60_000 }), host("c")];
    for (const one of [...hosts].reverse()) await one.poll();
    upstream.tag = "v1.3.0";
    clock.advance(TTL_MS);
    for (const one of hosts) expect(await one.poll()).toBe("v1.3.0");
  });
});

describe("a store that fails", () => {
  const down: [string, MemoryCacheOptions["before"]][] = [
    ["down", unreachable],
    ["read-only", (call) => (call === "write" ? unreachable() : undefined)],
    ["slow", () => new Promise(() => {})],
  ];

  test.each(down)("because it is %s costs one warning, not the polls", async (why, before) => {
    const { clock, host, store, upstream } = fleet();
    const a = host("a", { random: () => 1 });
    store.options.before = before;
    for (const tag of ["v1.2.3", "v1.3.0"]) {
      upstream.tag = tag;
      const answer = a.poll();
      // It is then left alone for a while.
      if (why === "slow" && tag === "v1.2.3") await passTwoAttempts(clock);
      expect(await answer).toBe(tag);
    }
    expect(a.warnings()).toHaveLength(1);
  });

  test("because it stays slow is asked again after half a minute", async () => {
    const { clock, host, store, upstream } = fleet();
    const ttlMs = 10 * TTL_MS;
    const a = host("a", { random: () => 1, ttlMs });
    await host("b", { ttlMs }).poll();
    store.options.before = () => new Promise(() => {});
    const answer = a.poll();
    await passTwoAttempts(clock);
    await answer;
    store.options.before = undefined;
    await a.poll();
    expect(upstream.asked).toHaveLength(3);
    clock.advance(30_000);
    await a.poll();
    expect(upstream.asked).toHaveLength(3);
  });

  test("because it is slow for a moment sends no host to the registry", async () => {
    const clock = hastyClock();
    const { host, store, upstream } = fleet({ now: clock.monotonic });
    await host("first", { clock }).poll();
    const end = clock.monotonic() + OPERATION_MS;
    store.options.before = () =>
      clock.monotonic() < end ? clock.sleep(2 * OPERATION_MS) : undefined;
    const hosts = [0, 0.5, 1].map((random) => host("a", { clock, random: () => random }));
    const answers = await Promise.all(hosts.map(({ poll }) => poll()));
    expect(answers).toEqual(["v1.2.3", "v1.2.3", "v1.2.3"]);
    expect(upstream.asked).toHaveLength(1);
    expect(hosts.flatMap(({ warnings }) => warnings())).toEqual([]);
  });

  test("because it throttles a claim is asked for it once more", async () => {
    const clock = hastyClock();
    const { host, store, upstream } = fleet({ now: clock.monotonic });
    const end = clock.monotonic() + 1000;
    store.options.before = (call) => {
      if (call === "write" && clock.monotonic() < end) throw new RemoteError("", { status: 503 });
    };
    const answers = ["a", "b"].map((name) => host(name, { clock }).poll());
    expect(await Promise.all(answers)).toEqual(["v1.2.3", "v1.2.3"]);
    expect(upstream.asked).toHaveLength(1);
  });

  test("is not blamed for an answer that this process had no time to read", async () => {
    const { clock, host, store, upstream } = fleet();
    await host("first").poll();
    let answered = (): void => {};
    store.options.before = () => new Promise((resolve) => (answered = resolve));
    const answer = host("a").poll();
    await clock.sleeping(OPERATION_MS);
    clock.advance(2 * OPERATION_MS);
    await clock.sleeping(OPERATION_MS);
    answered();
    expect(await answer).toBe("v1.2.3");
    expect(upstream.asked).toHaveLength(1);
  });

  test("is used again when it is back, and reported again if it fails again later", async () => {
    const { clock, host, store, upstream } = fleet();
    const a = host("a");
    store.options.before = unreachable;
    await a.poll();
    store.options.before = undefined;
    await a.poll();
    await host("b").poll();
    expect(upstream.asked).toHaveLength(2);
    store.options.before = unreachable;
    await a.poll();
    expect(a.warnings()).toHaveLength(1);
    store.options.before = undefined;
    await a.poll();
    clock.advance(10 * 60_000);
    store.options.before = unreachable;
    await a.poll();
    expect(a.warnings()).toHaveLength(2);
  });

  test("and loses the answer to a claim leaves the claim to its owner", async () => {
    const { host, store, upstream } = fleet();
    let lost = 0;
    store.options.after = (call) => {
      if (call === "write" && lost++ === 0) unreachable();
    };
    expect(await host("a").poll()).toBe("v1.2.3");
    expect(await host("b").poll()).toBe("v1.2.3");
    expect(upstream.asked).toHaveLength(1);
  });

  test("to obey conditions is reported at the start, and not asked for answers", async () => {
    const { host, store, upstream } = fleet({ isAtomic: false });
    const a = host("a");
    for (let poll = 0; poll < 3; poll += 1) expect(await a.poll()).toBe("v1.2.3");
    expect(upstream.asked).toHaveLength(3);
    expect(store.count("read")).toBe(1);
    expect(store.count("write")).toBe(0);
    expect(a.warnings()).toMatchObject([{ important: true }]);
  });

  test("does not hold up a poll that is stopped", async () => {
    const { host, store } = fleet();
    store.options.before = () => new Promise(() => {});
    const stop = new AbortController();
    const answer = host("a").poll({ signal: stop.signal });
    stop.abort(new Error("stopped"));
    await expect(answer).rejects.toThrow("stopped");
  });
});

describe("an entry that is not one", () => {
  test.each([
    ["text", "not json"],
    ["other JSON", "[]"],
    ["no version", JSON.stringify({ fetched_at: "", locked_at: "", dewy: { resolution: 1 } })],
    ["too large", "x".repeat(5 * 1024 * 1024)],
    [
      "an answer without digests",
      '{"response":{"ID":"1"},"fetched_at":"2026-01-02T03:04:05Z","locked_at":""}',
    ],
  ])("is repaired: %s", async (_, text) => {
    const { host, store, upstream } = fleet();
    await store.write(KEY, text);
    expect(await host("a").poll()).toBe("v1.2.3");
    expect(await host("b").poll()).toBe("v1.2.3");
    expect(upstream.asked).toHaveLength(1);
  });
});

/** A read, the pause of a machine whose random number is 1, and the read again. */
async function passTwoAttempts(clock: FakeClock): Promise<void> {
  for (let part = 0; part < 3; part += 1) {
    await clock.sleeping(OPERATION_MS);
    clock.advance(OPERATION_MS);
  }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate);
}
