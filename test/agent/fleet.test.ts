import { describe, expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { swapRollout } from "../../src/fleet/records.ts";
import { eventsOf } from "../deploy/world.ts";
import { type MemoryCache, memoryCache, unreachable } from "../fakes/memory_cache.ts";
import { type Steered, steeredAgent } from "./steered_agent.ts";

const WAIT = { timeout: 15_000, interval: 50 };

/** Hosts of one fleet, by name. A store that does not tell the age of its records has each host evaluate at each beat. */
async function fleetOf(names: readonly string[], cache: MemoryCache, ...flags: string[]) {
  const hosts = await Promise.all(names.map((name) => hostOf(name, cache, ...flags)));
  const publish = (tag: string): void => {
    for (const { publish } of hosts) publish(tag);
  };
  return { hosts, publish };
}

function hostOf(name: string, cache: MemoryCache, ...flags: string[]): Promise<Steered> {
  const fleet = ["--cache", "s3://eu-west-1/bucket", "--fleet", "web", "--fleet-host", name];
  const fast = ["--rollout", "1,100%", "--rollout-bake", "0", "--member-ttl", "10s"];
  return steeredAgent({ mode: "server", cache, argv: [...fleet, ...fast, ...flags] });
}

async function poll(...hosts: Steered[]): Promise<string[]> {
  const answers = await Promise.all(hosts.map((host) => host.steer({ command: "poll" })));
  return answers.map(({ text }) => text);
}

function liveOf(hosts: readonly Steered[]): Promise<(string | undefined)[]> {
  return Promise.all(hosts.map((host) => host.live()));
}

function changes(hosts: readonly Steered[]): string[] {
  return hosts.flatMap(({ events }) =>
    eventsOf(events, "rollout").map(({ tag, change }) => `${tag} ${change}`),
  );
}

/** Polls all hosts until all run the version. */
async function untilAllRun(tag: string, hosts: readonly Steered[]): Promise<void> {
  await vi.waitFor(async () => {
    await poll(...hosts);
    expect(new Set(await liveOf(hosts))).toEqual(new Set([tag]));
  }, WAIT);
}

async function started(names: readonly string[], ...flags: string[]) {
  const cache = memoryCache({ tellsAge: false });
  const { hosts, publish } = await fleetOf(names, cache, ...flags);
  publish("v1.0.0");
  for (const host of hosts) await host.start();
  await untilAllRun("v1.0.0", hosts);
  await vi.waitFor(() => expect(changes(hosts)).toContain("v1.0.0 done"), WAIT);
  return { cache, hosts, publish };
}

describe("the hosts of a fleet", { timeout: 60_000 }, () => {
  it("take a version in waves, and the fleet's events are emitted once", async () => {
    const { hosts, publish } = await started(["a", "b", "c"]);
    publish("v1.1.0");
    const texts = await poll(...hosts);
    expect(await liveOf(hosts)).toEqual(
      expect.arrayContaining(["v1.0.0", "v1.0.0", "v1.1.0"]) as unknown,
    );
    const waits = texts.filter((text) => /^v1\.0\.0 stays live; v1\.1\.0 waits: /.test(text));
    expect(waits).toHaveLength(2);
    await untilAllRun("v1.1.0", hosts);
    await vi.waitFor(() => expect(changes(hosts)).toContain("v1.1.0 done"), WAIT);
    const own = changes(hosts).filter((change) => change.startsWith("v1.1.0"));
    expect(own.toSorted()).toEqual(["v1.1.0 began", "v1.1.0 done", "v1.1.0 wave"]);
  });

  it("are kept from a version that fails on the first of them", async () => {
    const { hosts, publish } = await started(["a", "b", "c"]);
    for (const { runner } of hosts) runner.broken.add("v1.1.0");
    publish("v1.1.0");
    await vi.waitFor(async () => {
      await Promise.allSettled(hosts.map((host) => poll(host)));
      expect(changes(hosts)).toContain("v1.1.0 halted");
    }, WAIT);
    const texts = await Promise.allSettled(hosts.map((host) => poll(host)));
    const waits = texts.filter(({ status }) => status === "fulfilled");
    expect(waits).toHaveLength(3);
    expect(await liveOf(hosts)).toEqual(["v1.0.0", "v1.0.0", "v1.0.0"]);
    const tried = hosts.filter(({ runner }) => runner.steps.includes("deploy v1.1.0"));
    expect(tried).toHaveLength(1);
  });

  it("go back from a halted version with --rollback-on-halt, without a skip that a resume would meet", async () => {
    const { cache, hosts, publish } = await started(["a", "b"], "--rollback-on-halt");
    publish("v1.1.0");
    await poll(...hosts);
    expect((await liveOf(hosts)).toSorted()).toEqual(["v1.0.0", "v1.1.0"]);
    const at = { store: cache, fleet: "web" };
    await swapRollout(at, (now) => now && { ...now, state: "halted", reason: "halted by alice" }, {
      writer: "test",
      clock: systemClock,
      random: Math.random,
    });
    const wentBack = () => hosts.flatMap(({ events }) => eventsOf(events, "rolled-back"));
    await vi.waitFor(() => expect(wentBack()).toHaveLength(1), WAIT);
    const [back] = wentBack();
    expect(back).toMatchObject({ tag: "v1.1.0", to: "v1.0.0", operator: { user: "the fleet" } });
    expect(back?.reason).toContain("halted by alice");
    expect(await liveOf(hosts)).toEqual(["v1.0.0", "v1.0.0"]);
    const states = await Promise.all(hosts.map((host) => host.state()));
    expect(states.map(({ skipped }) => skipped)).toEqual([undefined, undefined]);
  });

  it("keep what runs while the store is down, and go on by themselves", async () => {
    const { cache, hosts, publish } = await started(["a", "b"]);
    cache.options.before = unreachable;
    publish("v1.1.0");
    const texts = await poll(...hosts);
    for (const text of texts)
      expect(text).toMatch(/^v1\.0\.0 stays live; v1\.1\.0 waits: the store/);
    delete cache.options.before;
    await untilAllRun("v1.1.0", hosts);
    const warnings = hosts.map(({ events }) =>
      eventsOf(events, "warning").filter(({ message }) =>
        message.startsWith("Cannot use the store"),
      ),
    );
    for (const ones of warnings) expect(ones.length).toBeLessThanOrEqual(1);
  });

  it("that have nothing begin with the version last rolled out", async () => {
    const { cache, hosts, publish } = await started(["a", "b"]);
    for (const { runner } of hosts) runner.baking.add("v1.1.0");
    publish("v1.1.0");
    const polls = hosts.map((host) => poll(host));
    await vi.waitFor(() => {
      expect(hosts.some(({ runner }) => runner.isBaking("v1.1.0"))).toBe(true);
    }, WAIT);
    const fresh = await hostOf("c", cache);
    for (const tag of ["v1.0.0", "v1.1.0"]) fresh.publish(tag);
    await fresh.start();
    expect(await fresh.live()).toBe("v1.0.0");
    for (const { runner } of hosts) runner.passBake("v1.1.0");
    await Promise.all(polls);
  });

  it("start what they have if the store is down", async () => {
    const { cache, hosts } = await started(["a"]);
    const [host] = hosts;
    await host?.stop();
    cache.options.before = unreachable;
    await host?.start();
    expect(await host?.live()).toBe("v1.0.0");
    onTestFinished(() => void delete cache.options.before);
  });

  it("refuse a store that does not obey conditions", async () => {
    const host = await hostOf("a", memoryCache({ isAtomic: false }));
    await expect(host.runOnce([])).rejects.toThrow(/does not obey conditional writes/);
  });
});
