import { describe, expect, test } from "vitest";
import { DeployError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { Coordinator, type CoordinatorOptions } from "../../src/fleet/coordinator.ts";
import { rankHosts } from "../../src/fleet/rank.ts";
import { memberKey, operatorWriter, rolloutKey, swapRollout } from "../../src/fleet/records.ts";
import { abortRollout } from "../../src/fleet/rollout.ts";
import type { Member, Rollout } from "../../src/fleet/types.ts";
import { compareVersions } from "../../src/version/version.ts";
import { hastyClock } from "../fakes/clock.ts";
import { type MemoryCache, memoryCache, unreachable } from "../fakes/memory_cache.ts";

const FLEET = "shop";
const REGISTRY = "ghr://acme/shop";
const MINUTE = 60_000;
const NEW = "v2.0.0";
/** By rank, for the new version. */
const HOSTS = rankHosts(["web1", "web2", "web3"], NEW);
const [A = "", B = "", C = ""] = HOSTS;

/** A few hosts that share a store and time, which passes when all of them wait. */
class World implements AsyncDisposable {
  readonly clock = hastyClock();
  readonly store: MemoryCache;
  readonly events: (DewyEvent & { host: string })[] = [];
  readonly #ended = new AbortController();
  readonly #runs: Promise<void>[] = [];
  readonly live = new Map<string, string | undefined>();

  constructor() {
    this.store = memoryCache({ now: () => this.clock.now() });
  }

  host(name: string, options: Partial<CoordinatorOptions> = {}): Coordinator {
    if (!this.live.has(name)) this.live.set(name, "v1.0.0");
    return new Coordinator({
      store: this.store,
      fleet: FLEET,
      host: name,
      instance: `${name}:1`,
      registry: REGISTRY,
      waves: [{ hosts: 1 }],
      maxFailures: 0,
      bakeMs: MINUTE,
      memberTtlMs: 10 * MINUTE,
      compare: (a, b) => compareVersions(a, b),
      clock: this.clock,
      random: () => 0.5,
      running: async () => this.live.get(name),
      emit: (event) => this.events.push({ ...event, host: name }),
      ...options,
    });
  }

  /** Runs until the returned function is called, or the test ends. */
  run(coordinator: Coordinator): () => Promise<void> {
    const stop = new AbortController();
    this.#ended.signal.addEventListener("abort", () => stop.abort());
    const run = coordinator.run(stop.signal);
    this.#runs.push(run);
    return async () => {
      stop.abort();
      await run;
    };
  }

  /** All hosts, each with its record. */
  async all(options: Partial<CoordinatorOptions> = {}): Promise<Coordinator[]> {
    const hosts = HOSTS.map((name) => this.host(name, options));
    for (const host of hosts) this.run(host);
    await this.until(() => HOSTS.every((name) => this.member(name) !== undefined));
    return hosts;
  }

  admit(coordinator: Coordinator, tag: string = NEW, running: string | undefined = "v1.0.0") {
    return coordinator.admit({ tag, running }, this.#ended.signal);
  }

  deployed(coordinator: Coordinator, name: string, tag: string = NEW): void {
    const previousTag = this.live.get(name);
    this.live.set(name, tag);
    const event = { type: "deployed", command: "server", tag, previousTag } as const;
    coordinator.sink({ ...event, directory: tag, durationMs: 1 });
  }

  /** Waits while time passes. */
  async until(condition: () => boolean): Promise<void> {
    for (let count = 0; !condition(); count++) {
      if (count > 2000) throw new Error(`never: ${condition}`);
      await this.clock.sleep(1000);
    }
  }

  get rollout(): Rollout | undefined {
    const text = this.store.text(rolloutKey(FLEET));
    return text === undefined ? undefined : JSON.parse(text);
  }

  member(name: string): Member | undefined {
    const text = this.store.text(memberKey(FLEET, name));
    return text === undefined ? undefined : JSON.parse(text);
  }

  phase(name: string): string | undefined {
    return this.member(name)?.task?.phase;
  }

  changes(): string[] {
    return this.events.flatMap((event) => (event.type === "rollout" ? [event.change] : []));
  }

  warnings(): string[] {
    return this.events.flatMap((event) => (event.type === "warning" ? [event.message] : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#runs);
  }
}

function failure(tag: string, changes: { count?: number; retryInMs?: number } = {}): DewyEvent {
  const error = new DeployError("verify", "did not become ready", { fault: "release" });
  return {
    type: "failed",
    phase: "verify",
    tag,
    error,
    count: 1,
    retryInMs: undefined,
    ...changes,
  };
}

function waiting(tag: string, reason: string): DewyEvent {
  return { type: "waiting", tag, why: "pinned", reason };
}

describe("a rollout", () => {
  test("goes from the first rank to all, and is announced once", async () => {
    await using world = new World();
    const [a, b, c] = (await world.all()) as [Coordinator, Coordinator, Coordinator];
    expect(await world.admit(b)).toMatchObject({ kind: "wait" });
    expect(await world.admit(a)).toEqual({ kind: "go" });
    expect(await world.admit(c)).toMatchObject({ kind: "wait" });
    world.deployed(a, A);
    await world.until(() => world.rollout?.wave === 1);
    expect(await world.admit(b)).toEqual({ kind: "go" });
    world.deployed(b, B);
    expect(await world.admit(c)).toEqual({ kind: "go" });
    world.deployed(c, C);
    await world.until(() => world.rollout?.state === "done");
    expect(world.changes()).toEqual(["began", "wave", "done"]);
  });

  test("goes on without a host that was pinned after it had a place", async () => {
    await using world = new World();
    const [a, b] = (await world.all()) as [Coordinator, Coordinator];
    world.store.options.after = (call, key) => {
      if (call === "write" && key === rolloutKey(FLEET) && world.rollout?.started.includes(A)) {
        world.store.options.before = unreachable;
      }
    };
    expect(await world.admit(a)).toMatchObject({ kind: "wait" });
    world.store.options.after = undefined;
    world.store.options.before = undefined;
    a.sink(waiting(NEW, "pinned"));
    await world.until(() => world.rollout?.passed.includes(A) === true);
    expect(world.rollout?.started).toEqual([]);
    expect(await world.admit(b)).toEqual({ kind: "go" });
  });

  test("that nobody wants any more gives way to a newer version", async () => {
    await using world = new World();
    const hosts = await world.all();
    await world.admit(hosts[1] as Coordinator);
    for (const host of hosts) {
      host.sink(waiting(NEW, "its registry has a newer version"));
      await world.admit(host, "v3.0.0");
    }
    await world.until(() => world.rollout?.tag === "v3.0.0");
    expect(world.rollout).toMatchObject({ state: "running", previous: "v1.0.0" });
  });

  test("that an operator has aborted is reported by one host", async () => {
    await using world = new World();
    const [a] = (await world.all()) as [Coordinator];
    await world.admit(a);
    const options = {
      writer: operatorWriter("abort", "alice"),
      clock: world.clock,
      random: () => 0,
    };
    const at = { store: world.store, fleet: FLEET };
    await swapRollout(at, (now) => now && abortRollout(now, "aborted by alice"), options);
    await world.until(() => world.changes().includes("aborted"));
    await world.clock.sleep(20 * MINUTE);
    expect(world.changes()).toEqual(["began", "aborted"]);
  });

  test("bakes on each host for as long as asked", async () => {
    await using world = new World();
    const [a] = (await world.all({ bakeMs: 5 * MINUTE })) as [Coordinator];
    await world.admit(a);
    const at = world.clock.now();
    world.deployed(a, A);
    await world.until(() => world.phase(A) === "done");
    expect(world.clock.now() - at).toBeGreaterThanOrEqual(5 * MINUTE);
  });

  test("is halted by a failure, and reported by one host", async () => {
    await using world = new World();
    const [a, b] = (await world.all()) as [Coordinator, Coordinator];
    await world.admit(a);
    a.sink(failure(NEW));
    await world.until(() => world.rollout?.state === "halted");
    expect(world.changes()).toEqual(["began", "halted"]);
    const reason = `the rollout of v2.0.0 is halted: failed on ${A} (did not become ready); --max-failures is 0`;
    expect(await world.admit(b)).toEqual({
      kind: "wait",
      reason: expect.stringContaining(reason),
    });
  });

  test("is halted by a crash after the bake", async () => {
    await using world = new World();
    const [a] = (await world.all()) as [Coordinator];
    await world.admit(a);
    world.deployed(a, A);
    await world.until(() => world.rollout?.wave === 1);
    a.sink({ type: "rolled-back", tag: NEW, to: "v1.0.0", reason: "it crashed 5 times" });
    await world.until(() => world.rollout?.state === "halted");
    expect(world.rollout?.failed).toEqual([{ host: A, reason: "it crashed 5 times" }]);
  });

  test("counts a deploy that is retried as failed at the third attempt", async () => {
    await using world = new World();
    const [a] = (await world.all()) as [Coordinator];
    await world.admit(a);
    a.sink(failure(NEW, { count: 2, retryInMs: 1000 }));
    await world.clock.sleep(MINUTE);
    expect(world.rollout?.state).toBe("running");
    a.sink(failure(NEW, { count: 3, retryInMs: 1000 }));
    await world.until(() => world.rollout?.state === "halted");
  });

  test("waits for a deploy that is retried, however many polls come between", async () => {
    await using world = new World();
    const [a] = (await world.all()) as [Coordinator];
    expect(await world.admit(a)).toEqual({ kind: "go" });
    for (let count = 1; count <= 3; count += 1) {
      a.sink(failure(NEW, { count, retryInMs: MINUTE }));
      for (let poll = 0; poll < 3; poll += 1) a.sink({ type: "polled", outcome: "failed" });
      await world.clock.sleep(MINUTE);
    }
    await world.until(() => world.rollout?.state === "halted");
  });

  test("passes over a host that is pinned, and over one that is gone", async () => {
    await using world = new World();
    const a = world.host(A);
    const stop = world.run(world.host(B));
    const c = world.host(C);
    for (const host of [a, c]) world.run(host);
    await world.until(() => HOSTS.every((name) => world.member(name) !== undefined));
    await world.admit(c);
    await stop();
    a.sink(waiting(NEW, "pinned to v1.0.0 by alice"));
    await world.until(() => world.rollout?.passed.length === 2);
    expect(world.member(A)?.task).toMatchObject({
      phase: "held",
      reason: "pinned to v1.0.0 by alice",
    });
    expect(await world.admit(c)).toEqual({ kind: "go" });
  });

  test("passes over a host whose registry does not offer the version", async () => {
    await using world = new World();
    const [a, b] = (await world.all()) as [Coordinator, Coordinator];
    await world.admit(b);
    // Until the host has read that there is a rollout.
    await world.clock.sleep(5 * MINUTE);
    for (let poll = 0; poll < 2; poll++) a.sink({ type: "polled", outcome: "fine" });
    await world.until(() => world.rollout?.passed.includes(A) === true);
    expect(await world.admit(b)).toEqual({ kind: "go" });
  });

  test("halts when a host vanishes during its bake", async () => {
    await using world = new World();
    const a = world.host(A, { bakeMs: 60 * MINUTE });
    const stop = world.run(a);
    world.run(world.host(B));
    await world.until(() => world.member(B) !== undefined);
    await world.admit(a);
    world.deployed(a, A);
    await world.until(() => world.phase(A) === "baking");
    await stop();
    await world.until(() => world.rollout?.state === "halted");
    expect(world.rollout?.lost).toEqual([A]);
  });

  test("gives way to a newer version when its wave is complete", async () => {
    await using world = new World();
    const [a, b] = (await world.all()) as [Coordinator, Coordinator];
    await world.admit(a);
    expect(await world.admit(b, "v3.0.0")).toMatchObject({ kind: "wait" });
    expect(world.rollout).toMatchObject({ tag: NEW, next: "v3.0.0" });
    world.deployed(a, A);
    await world.until(() => world.rollout?.tag === "v3.0.0");
    expect(world.rollout).toMatchObject({ state: "running", wave: 0, previous: "v1.0.0" });
  });

  test("starts a host that runs nothing with what was rolled out before", async () => {
    await using world = new World();
    const [a] = (await world.all()) as [Coordinator];
    await world.admit(a);
    const signal = new AbortController().signal;
    const fresh = await world.host("web9").admit({ tag: NEW, running: undefined }, signal);
    expect(fresh).toMatchObject({ kind: "instead", tag: "v1.0.0" });
  });
});

describe("the check of a wave", () => {
  test("halts the rollout", async () => {
    await using world = new World();
    const check = async () => ({ ok: false, reason: "5 % errors" }) as const;
    const [a] = (await world.all({ check })) as [Coordinator];
    await world.admit(a);
    world.deployed(a, A);
    await world.until(() => world.rollout?.state === "halted");
    expect(world.rollout?.reason).toBe("the check after wave 1 failed: 5 % errors");
  });

  test("may take longer than evaluations are apart, and runs once at a time", async () => {
    await using world = new World();
    let running = 0;
    let most = 0;
    const check: CoordinatorOptions["check"] = async () => {
      running += 1;
      most = Math.max(most, running);
      await world.clock.sleep(2 * MINUTE);
      running -= 1;
      return { ok: true };
    };
    const [a] = (await world.all({ check })) as [Coordinator];
    await world.admit(a);
    world.deployed(a, A);
    await world.until(() => world.rollout?.wave === 1);
    expect(most).toBe(1);
  });

  test("that gives no answer is asked again", async () => {
    await using world = new World();
    let asked = 0;
    const check: CoordinatorOptions["check"] = async () => {
      asked += 1;
      if (asked < 3) throw new Error("connection refused");
      return { ok: true };
    };
    const [a] = (await world.all({ check })) as [Coordinator];
    await world.admit(a);
    world.deployed(a, A);
    await world.until(() => world.rollout?.wave === 1);
    expect(asked).toBe(3);
    expect(world.warnings()).toContain(
      "Cannot check the rollout; asked again until there is an answer",
    );
  });
});

describe("going back", () => {
  test("happens on the hosts that took the version, once", async () => {
    await using world = new World();
    const back: string[] = [];
    const rollBack = (name: string) => async (to: string) => {
      world.live.set(name, to);
      back.push(`${name} to ${to}`);
    };
    const a = world.host(A, { rollBack: rollBack(A), maxFailures: 0 });
    const b = world.host(B, { rollBack: rollBack(B) });
    for (const host of [a, b]) world.run(host);
    await world.until(() => world.member(B) !== undefined && world.member(A) !== undefined);
    await world.admit(a);
    world.deployed(a, A);
    await world.until(() => world.rollout?.wave === 1);
    await world.admit(b);
    b.sink(failure(NEW));
    await world.until(() => world.phase(A) === "rolled-back");
    expect(back).toEqual([`${A} to v1.0.0`]);
  });
});

describe("a restart", () => {
  async function restarted(world: World, live: string, task: boolean): Promise<Coordinator> {
    const first = world.host(A);
    const stop = world.run(first);
    world.run(world.host(B));
    await world.until(() => world.member(A) !== undefined && world.member(B) !== undefined);
    expect(await world.admit(first)).toEqual({ kind: "go" });
    await stop();
    if (!task) world.store.objects.delete(memberKey(FLEET, A));
    world.live.set(A, live);
    const second = world.host(A, { instance: `${A}:2` });
    world.run(second);
    return second;
  }

  test.each([true, false])("after the switch bakes again (own record: %s)", async (task) => {
    await using world = new World();
    await restarted(world, NEW, task);
    await world.until(() => world.phase(A) === "baking");
    await world.until(() => world.rollout?.wave === 1);
    expect(world.warnings()).toEqual([]);
  });

  test("before the switch goes on", async () => {
    await using world = new World();
    const second = await restarted(world, "v1.0.0", true);
    expect(await world.admit(second)).toEqual({ kind: "go" });
    expect(world.rollout?.started).toEqual([A]);
  });

  test("with the version marked bad counts as failed", async () => {
    await using world = new World();
    const second = await restarted(world, "v1.0.0", true);
    await world.clock.sleep(MINUTE);
    second.sink({ type: "known-bad", tag: NEW, reason: "it crashed" });
    await world.until(() => world.rollout?.state === "halted");
    expect(world.rollout?.failed).toEqual([{ host: A, reason: "it crashed" }]);
  });

  test("with the version not offered any more counts as failed", async () => {
    await using world = new World();
    const second = await restarted(world, "v1.0.0", true);
    await world.clock.sleep(MINUTE);
    for (let poll = 0; poll < 2; poll++) second.sink({ type: "polled", outcome: "fine" });
    await world.until(() => world.rollout?.state === "halted");
  });
});

describe("the store", () => {
  test("that is down keeps what runs, warns once, and is used again", async () => {
    await using world = new World();
    const [a, b] = (await world.all()) as [Coordinator, Coordinator];
    world.store.options.before = unreachable;
    for (let poll = 0; poll < 3; poll++) {
      expect(await world.admit(a)).toEqual({
        kind: "wait",
        reason: "the store of the fleet cannot be used now; what runs is kept",
      });
    }
    await world.clock.sleep(20 * MINUTE);
    const from = (name: string): string[] =>
      world.events.flatMap((event) =>
        event.type === "warning" && event.host === name ? [event.message] : [],
      );
    expect(from(A)).toHaveLength(1);
    delete world.store.options.before;
    await world.until(() => from(A).length === 2);
    expect(from(A)[1]).toBe("Store of the fleet is in use again");
    expect(await world.admit(b)).toMatchObject({ kind: "wait" });
    expect(await world.admit(a)).toEqual({ kind: "go" });
  });

  test("that was down for longer than hosts count as members halts nothing", async () => {
    await using world = new World();
    const [a] = (await world.all({ bakeMs: 40 * MINUTE })) as [Coordinator];
    await world.admit(a);
    world.deployed(a, A);
    await world.until(() => world.phase(A) === "baking");
    world.store.options.before = unreachable;
    await world.clock.sleep(30 * MINUTE);
    delete world.store.options.before;
    await world.until(() => world.rollout?.state !== "running" || world.rollout.wave === 1);
    expect(world.rollout).toMatchObject({ state: "running", wave: 1 });
  });

  test("that loses the answer of a write has carried it out", async () => {
    await using world = new World();
    const [a] = (await world.all()) as [Coordinator];
    let lost = 0;
    world.store.options.after = (call, key) => {
      if (call !== "write" || key !== rolloutKey(FLEET)) return;
      lost += 1;
      unreachable();
    };
    expect(await world.admit(a)).toEqual({ kind: "go" });
    expect(lost).toBeGreaterThan(0);
    expect(world.rollout).toMatchObject({ started: [A] });
    expect(world.changes()).toEqual(["began"]);
  });

  test("in which another host is faster is asked again, after a pause", async () => {
    await using world = new World();
    const [a] = (await world.all({ waves: [{ hosts: 2 }] })) as [Coordinator];
    await world.admit(a, "v1.1.0");
    let conflicts = 0;
    world.store.options.before = (call, key) => {
      const entry = world.store.objects.get(key);
      if (call !== "write" || key !== rolloutKey(FLEET) || conflicts >= 2) return;
      if (entry === undefined) return;
      conflicts += 1;
      world.store.objects.set(key, { ...entry, version: `other-${conflicts}` });
    };
    const first = rankHosts(HOSTS, "v1.1.0")[0] ?? "";
    const host = world.host(first, { instance: `${first}:1` });
    expect(await world.admit(host, "v1.1.0")).toEqual({ kind: "go" });
    expect(conflicts).toBe(2);
  });

  test("is written to seldom by a host that waits", async () => {
    await using world = new World();
    const [a, b] = (await world.all({ bakeMs: 60 * MINUTE })) as [Coordinator, Coordinator];
    await world.admit(a);
    world.deployed(a, A);
    const before = world.store.count("write", memberKey(FLEET, B));
    for (let poll = 0; poll < 60; poll++) {
      await world.admit(b);
      await world.clock.sleep(10_000);
    }
    expect(world.store.count("write", memberKey(FLEET, B)) - before).toBeLessThan(10);
  });
});

describe("records", () => {
  test("of a rollout that are unreadable make hosts wait, and say what to do", async () => {
    await using world = new World();
    const [a] = (await world.all()) as [Coordinator];
    await world.store.write(rolloutKey(FLEET), "{");
    expect(await world.admit(a)).toEqual({
      kind: "wait",
      reason: `Cannot read fleet/shop/rollout.json in memory://cache: it is not a rollout; dewy fleet abort replaces it`,
    });
    expect(world.store.text(rolloutKey(FLEET))).toBe("{");
  });

  test.each(["{", "x".repeat(100_000)])("of a host are overwritten by it", async (text) => {
    await using world = new World();
    await world.store.write(memberKey(FLEET, A), text);
    world.run(world.host(A));
    await world.until(() => world.store.text(memberKey(FLEET, A)) !== text);
    expect(world.member(A)).toMatchObject({ host: A, tag: "v1.0.0" });
  });

  test("of another host that are too large do not stop the rollout", async () => {
    await using world = new World();
    const [a, b, c] = (await world.all()) as [Coordinator, Coordinator, Coordinator];
    await world.admit(a);
    await world.store.write(memberKey(FLEET, "web9"), "x".repeat(100_000));
    world.deployed(a, A);
    await world.until(() => world.rollout?.wave === 1);
    for (const [host, name] of [[b, B] as const, [c, C] as const]) {
      expect(await world.admit(host)).toEqual({ kind: "go" });
      world.deployed(host, name);
    }
    // Once it counts as gone.
    await world.until(() => world.rollout?.state === "done");
  });

  test("of hosts that are silent for a week are removed by the next rollout", async () => {
    await using world = new World();
    const old: Member = { revision: 1, host: "old", instance: "old:1" };
    const day = 24 * 60 * MINUTE;
    await world.store.write(memberKey(FLEET, "old"), JSON.stringify(old));
    await world.clock.sleep(2 * day);
    await world.store.write(memberKey(FLEET, "quiet"), JSON.stringify({ ...old, host: "quiet" }));
    await world.clock.sleep(5.5 * day);
    const [a] = (await world.all()) as [Coordinator];
    await world.admit(a);
    await world.until(() => world.member("old") === undefined);
    expect(world.rollout).toMatchObject({ tag: NEW, state: "running" });
    expect(world.member("quiet")).toBeDefined();
  });

  test("of two hosts of one name are noticed, and said once", async () => {
    await using world = new World();
    world.run(world.host(A));
    world.run(world.host(A, { instance: `${A}:2` }));
    await world.clock.sleep(60 * MINUTE);
    const warnings = world.events.filter(({ type }) => type === "warning");
    expect(warnings.length).toBeGreaterThan(0);
    expect(warnings.length).toBeLessThanOrEqual(2);
    expect(warnings[0]).toMatchObject({
      message: "Another dewy reports to the fleet under this host's name",
      fields: { host: A, hint: "give each host a name of its own with --fleet-host" },
    });
  });

  test("of another registry make a host wait", async () => {
    await using world = new World();
    const [a] = (await world.all()) as [Coordinator];
    await world.admit(a);
    const other = world.host("other", { registry: "ghr://acme/other" });
    expect(await world.admit(other)).toEqual({
      kind: "wait",
      reason: `the fleet is that of ${REGISTRY}; give this app a --fleet of its own`,
    });
  });
});
