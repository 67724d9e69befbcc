import fc from "fast-check";
import { expect, it } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import { DeployError, HostError } from "../../src/core/error.ts";
import type { DeployContext, Deployer } from "../../src/deploy/deployer.ts";
import { FailedCandidates } from "../../src/deploy/failed_candidates.ts";
import { recover } from "../../src/deploy/recover.ts";
import { bakeAndCommit } from "../../src/deploy/sequence.ts";
import { findRelease, forgetAcceptances } from "../../src/deploy/state.ts";
import { Switches } from "../../src/deploy/switches.ts";
import { tick } from "../../src/deploy/tick.ts";
import { fallBack } from "../../src/deployers/fall_back.ts";
import { compareVersions } from "../../src/version/version.ts";
import { ready, type TestWorld, testWorld } from "./world.ts";

const SEED = Number(process.env.DEWY_SEED ?? 20260101);
const RUNS = Number(process.env.DEWY_RUNS ?? 400);
const POLICY = { preRelease: false, calver: "", constraint: "", slot: "", artifact: "" };
const NEVER = new Promise<never>(() => {});
/** What a version does once it is started; `loops` serves until the test makes it crash. */
const FATES = ["good", "good", "loops", "loops", "unready", "crashes"] as const;
const FAULTS = ["stage", "activate", "verify", "bake", "restore", "save"] as const;
const EVENTS = ["look", "look", "unpublish", "again", "changed", "loop", "loop"] as const;
const PAUSES = [1_000, 10_000, 31_000, 31_000];
type Fault = (typeof FAULTS)[number];
type Agent = { io: DeployContext; failed: FailedCandidates; stop: AbortController };

const event = fc.oneof(
  fc.record({ publish: fc.constantFrom(...FATES) }),
  fc.record({ fault: fc.constantFrom(...FAULTS) }),
  fc.record({ killIn: fc.integer({ min: 1, max: 25 }) }),
  fc.record({ slow: fc.boolean() }),
  fc.record({ pass: fc.constantFrom(...PAUSES) }),
  fc.record({ pass: fc.constantFrom(...PAUSES) }),
  fc.record({ event: fc.constantFrom(...EVENTS, "restart" as const, "terminate" as const) }),
);
type Event = typeof event extends fc.Arbitrary<infer E> ? E : never;

/** A disk, a registry, and an agent that can be killed at any step, on a clock that only tests move. */
class Machine {
  readonly disk: TestWorld = testWorld();
  readonly fates = new Map<string, (typeof FATES)[number]>();
  readonly bytes = new Map<string, string>();
  /** Versions that failed through their own fault. */
  readonly guilty = new Set<string>();
  readonly gone = new Set<string>();
  readonly hooked = new Set<string>();
  readonly faults = new Set<Fault>();
  readonly wrong: string[] = [];
  isSlow = false;
  killIn = Number.POSITIVE_INFINITY;
  agent: Agent = this.boot();
  /** The directory whose app runs. */
  serving: string | undefined;
  readonly #accepted: string[] = [];
  /** What ends the bake of a directory, because another one has taken over. */
  readonly #bakes = new Map<string, () => void>();
  readonly #sleepers = new Set<{ until: number; wake: () => void }>();
  #now = 0;
  #good: string | undefined;
  #isLooking = false;

  boot(): Agent {
    const clock = this.#clock();
    const failed = new FailedCandidates({ intervalMs: 10_000, clock, random: () => 0.5 });
    return { io: this.#io(clock), failed, stop: new AbortController() };
  }

  /** Starts an agent, as after a kill. */
  async start(): Promise<void> {
    this.killIn = Number.POSITIVE_INFINITY;
    this.#sleepers.clear();
    this.#bakes.clear();
    this.serving = undefined;
    this.disk.setState(forgetAcceptances(this.disk.state(), this.#accepted));
    this.agent = this.boot();
    this.#isLooking = true;
    const { io, stop } = this.agent;
    const start = recover(io, stop.signal).then(
      (trial) => {
        this.#isLooking = false;
        this.serving = this.disk.live();
        if (trial !== undefined) bakeAndCommit(trial, io, stop.signal).catch(() => {});
      },
      () => this.start(),
    );
    void start;
    await this.settle();
  }

  look(): void {
    const { agent } = this;
    const { io, stop, failed } = agent;
    if (this.#isLooking) return;
    this.#isLooking = true;
    const over = (): void => {
      if (this.agent === agent) this.#isLooking = false;
    };
    const policy = { ...POLICY, acceptChanged: this.#accepted };
    void tick({ policy, failed, later: () => {} }, io, stop.signal).then(over, over);
  }

  /** Publishes a version, also one that was taken back. */
  publish(tag: string, fate: (typeof FATES)[number] = "good"): void {
    const { registry } = this.disk;
    this.fates.set(tag, this.fates.get(tag) ?? fate);
    this.bytes.set(tag, this.bytes.get(tag) ?? tag);
    const others = registry.answers.filter((one) => tagIn(one) !== tag);
    const all = [...others, ready(tag, { revision: this.bytes.get(tag) ?? "" })];
    registry.answers = all.sort((a, b) => compareVersions(tagIn(b), tagIn(a)));
    registry.gone.delete(tag);
    this.look();
  }

  async happen(one: Event): Promise<void> {
    const { registry } = this.disk;
    const { io, stop } = this.agent;
    const { fates, bytes, gone } = this;
    if ("publish" in one) this.publish(`v1.${fates.size}.0`, one.publish);
    else if ("fault" in one) this.faults.add(one.fault);
    else if ("killIn" in one) this.killIn = one.killIn;
    else if ("slow" in one) this.isSlow = one.slow;
    else if ("pass" in one) await this.pass(one.pass);
    else if (one.event === "look") this.look();
    else if (one.event === "again") this.publish([...gone].at(-1) ?? "v1.0.0");
    else if (one.event === "loop") this.crashLoop();
    else if (one.event === "terminate") await this.terminate();
    else if (one.event === "restart") {
      const restart = (signal: AbortSignal): Promise<void> => io.clock.sleep(5_000, signal);
      io.switches.attempt(stop.signal, restart).catch(() => {});
    } else if (one.event === "unpublish") {
      const tag = tagIn(registry.answers.shift());
      if (tag !== "") gone.add(tag);
      registry.gone.add(tag);
    } else {
      const tag = [...bytes.keys()].at(-1);
      if (tag === undefined || bytes.get(tag) !== tag) return;
      bytes.set(tag, "changed");
      this.#accepted.push(tag);
      this.publish(tag);
      await this.terminate();
    }
    await this.settle();
  }

  /** The app that runs crashes too often, if it is one that does, and no longer bakes. */
  crashLoop(): void {
    const { serving } = this;
    const { io, stop } = this.agent;
    const tag = findRelease(this.disk.state(), serving)?.tag ?? "";
    if (serving === undefined || this.fates.get(tag) !== "loops") return;
    if (this.#bakes.has(serving)) return;
    this.guilty.add(tag);
    const { live, has, restore: point } = io.deployer;
    const runner = { ensureRunning: async () => {} };
    const parts = { directory: { live, has, point }, runner, context: io, signal: stop.signal };
    void fallBack({ release: { tag, directory: serving }, crashes: 5, reason: "" }, parts);
  }

  async pass(ms: number): Promise<void> {
    this.#now += ms;
    for (const { until, wake } of this.#sleepers) if (until <= this.#now) wake();
    await this.settle();
    this.look();
  }

  async terminate(): Promise<void> {
    this.agent.stop.abort();
    await this.pass(6_000);
    await this.start();
  }

  async settle(): Promise<void> {
    for (let round = 0; round < 4; round += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.killIn <= 0) await this.start();
    }
  }

  #clock(): Clock {
    const now = (): number => this.#now;
    const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
      new Promise((wake, reject) => {
        if (signal?.aborted) reject(signal.reason);
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
        this.#sleepers.add({ until: this.#now + ms, wake });
      });
    return { now, monotonic: now, sleep };
  }

  #io(clock: Clock): DeployContext {
    const { disk } = this;
    let isDead = false;
    /** A step of the agent: it may be killed before or after it, and a fault may hit it. */
    const step = async <T>(name: Fault | "", work: () => T | Promise<T>): Promise<T> => {
      if (--this.killIn <= 0) isDead = true;
      if (isDead) return NEVER;
      if (name !== "" && this.faults.delete(name)) throw new HostError(`${name}: disk full`);
      const result = await work();
      if (--this.killIn <= 0) isDead = true;
      return isDead ? NEVER : result;
    };
    const busy = async (ms: number, signal?: AbortSignal): Promise<void> => {
      if (this.isSlow) await clock.sleep(ms, signal);
    };
    return {
      ...{
        ...disk.io,
        clock,
        switches: new Switches(),
        deployer: this.#deployer(step, busy, clock),
      },
      registry: {
        ...disk.registry,
        resolve: (options) => disk.registry.resolve(options),
        report: () => busy(45_000),
      },
      store: {
        load: disk.io.store.load,
        update: (change) => step("save", () => disk.io.store.update(change)),
      },
      runHook: async (when, { tag }, signal) => {
        await busy(5_000, signal);
        signal.throwIfAborted();
        await step("", () => when === "after" && this.hooked.add(tag));
        return undefined;
      },
      emit: (event) => {
        if (isDead) return;
        disk.events.push(event);
        if (event.type === "deployed") this.#good = event.tag;
      },
    };
  }

  #deployer(
    step: <T>(name: Fault | "", work: () => T | Promise<T>) => Promise<T>,
    busy: (ms: number, signal?: AbortSignal) => Promise<void>,
    clock: Clock,
  ): Deployer {
    const { deployer } = this.disk.io;
    return {
      ...deployer,
      stage: (candidate, signal, record) =>
        step("stage", () =>
          busy(5_000, signal).then(() => deployer.stage(candidate, signal, record)),
        ),
      activate: ({ directory }) => step("activate", () => this.#point(directory)),
      restore: (directory) =>
        step("restore", () => {
          this.#point(directory);
          this.serving = directory;
        }),
      verify: ({ tag, directory }, signal) =>
        step("verify", async () => {
          await busy(10_000, signal);
          if (this.fates.get(tag) === "unready") throw this.#blame(tag);
          for (const supersede of this.#bakes.values()) supersede();
          this.serving = directory;
        }),
      bake: async ({ tag, directory }, signal) => {
        const over = new AbortController();
        this.#bakes.set(directory, () => over.abort());
        await clock.sleep(30_000, AbortSignal.any([signal, over.signal])).catch(() => {});
        this.#bakes.delete(directory);
        if (over.signal.aborted) return "superseded";
        return step(signal.aborted ? "" : "bake", () => {
          if (signal.aborted || this.fates.get(tag) !== "crashes") return "proven";
          this.serving = undefined;
          throw this.#blame(tag);
        });
      },
      prune: (retention) =>
        step("", async () => {
          const removed = await deployer.prune(retention);
          const { previous, switching, afterHook } = this.disk.state();
          const { to, from } = switching ?? {};
          const used = [this.disk.live(), previous, to, from, afterHook?.directory];
          this.wrong.push(
            ...removed.filter((one) => used.includes(one)).map((one) => `pruned ${one}`),
          );
          return removed;
        }),
    };
  }

  #blame(tag: string): DeployError {
    this.guilty.add(tag);
    return new DeployError("verify", "it crashed", { fault: "release" });
  }

  /** Moves `current`: never to a version older than the last good one, unless that one is at fault or gone. */
  #point(directory: string | undefined): void {
    const to = findRelease(this.disk.state(), directory)?.tag;
    const good = this.#good;
    const isExcused = good === undefined || this.guilty.has(good) || this.gone.has(good);
    if (!isExcused && (to === undefined || compareVersions(to, good) < 0)) {
      this.wrong.push(`${to} was deployed although ${good} is good`);
    }
    this.disk.setLive(directory);
  }
}

function tagIn(answer: ReturnType<typeof ready> | undefined): string {
  return answer?.kind === "ready" ? answer.release.tag : "";
}

it(`ends with the newest good version live, whatever happened before (seed ${SEED})`, async () => {
  const chaos = fc.asyncProperty(
    fc.array(event, { minLength: 30, maxLength: 60 }),
    async (events) => {
      const machine = new Machine();
      const { disk } = machine;
      await machine.start();
      for (const one of events) await machine.happen(one);
      machine.faults.clear();
      Object.assign(machine, { isSlow: false, killIn: Number.POSITIVE_INFINITY });
      let seen = 0;
      for (let round = 0; round < 10; round += 1) {
        seen = disk.events.length;
        await machine.pass(600_000);
        await machine.settle();
      }
      expect(machine.wrong).toEqual([]);
      const live = findRelease(disk.state(), disk.live())?.tag;
      const bad = disk.state().bad.map(({ tag }) => tag);
      expect([...machine.guilty]).toEqual(expect.arrayContaining(bad));
      const newest = disk.registry.answers.map(tagIn).find((tag) => !bad.includes(tag));
      if (newest !== undefined && !bad.includes(live ?? "")) expect(live).toBe(newest);
      expect(machine.serving).toBe(disk.live());
      expect(disk.state().switching).toBeUndefined();
      expect(disk.state().afterHook).toBeUndefined();
      expect(machine.agent.io.switches.underway.size).toBe(0);
      const deployed = disk.events.findLast(({ type }) => type === "deployed");
      if (deployed?.type === "deployed" && deployed.tag === live) {
        expect([...machine.hooked]).toContain(live);
      }
      const changes = ["warning", "recovered", "failed", "activated", "rolled-back"];
      const restless = disk.events.slice(seen).filter(({ type }) => changes.includes(type));
      expect(restless).toEqual([]);
    },
  );
  await fc.assert(chaos, { seed: SEED, numRuns: RUNS });
}, 60_000);
