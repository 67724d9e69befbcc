import type { Clock } from "../../../src/core/clock.ts";
import { DeployError } from "../../../src/core/error.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import { FLEET_USER } from "../../../src/core/operator.ts";
import { Coordinator } from "../../../src/fleet/coordinator.ts";
import { compareVersions } from "../../../src/version/version.ts";
import type { Random } from "./random.ts";
import { type ClockFaults, processClock } from "./time.ts";
import type { World } from "./world.ts";

/** What becomes of a version on a host. */
export type Fate = "good" | "unready" | "crashes in its bake";

/** One process of the agent. A killed one does nothing more. */
interface Life {
  isAlive: boolean;
  clock: Clock;
  stop: AbortController;
}

/** One machine: what is on its disk, and an agent that polls, with the real coordinator in it. */
export class Host {
  readonly name: string;
  readonly #world: World;
  readonly #random: Random;
  readonly #clockFaults: ClockFaults;
  /** On disk: what runs. */
  tag: string | undefined;
  /** What is being deployed. */
  taking: string | undefined;
  /** On disk: versions that have failed here. */
  readonly bad: Set<string> = new Set();
  /** Versions that an operator has deployed here, without a rollout. */
  readonly byHand: Set<string> = new Set();
  /** Versions that have finished a bake here. */
  readonly #proven: Set<string> = new Set();
  /** Why its own gates keep everything back. */
  held: string | undefined;
  /** Whether requests to the store get nowhere. */
  isCutOff = false;
  #life: Life | undefined;
  /** When it last began a deploy. */
  beganAt = 0;
  #liveSince = 0;
  #steadySince = 0;

  constructor(name: string, world: World, faults: ClockFaults, tag: string | undefined) {
    this.name = name;
    this.#world = world;
    this.#random = world.random.fork(name);
    this.#clockFaults = faults;
    this.tag = tag;
  }

  get isUp(): boolean {
    return this.#life !== undefined;
  }

  holds(tag: string): boolean {
    return (this.tag === tag || this.taking === tag) && !this.byHand.has(tag);
  }

  /** Whether the version has run for its whole bake, under one process. */
  hasProven(tag: string): boolean {
    this.#prove();
    return this.#proven.has(tag);
  }

  /** Whether its registry offers the version. */
  isOffered(tag: string): boolean {
    return this.#world.offered === tag;
  }

  /** How long it has been up, reached the store, and was ready to take versions. */
  steadyMs(): number {
    const isSteady = this.isUp && this.held === undefined && !this.isCutOff;
    return isSteady ? this.#world.time.now - this.#steadySince : 0;
  }

  /** Whether its record in the store is not older than this. */
  hasRecordSince(ms: number): boolean {
    const record = this.#world.bucket.objects.get(`fleet/shop/members/${this.name}.json`);
    return this.isUp && record !== undefined && this.#world.time.now - record.modifiedAt <= ms;
  }

  hold(reason: string | undefined): void {
    this.#world.truth.note(`${this.name} is ${reason ?? "not held any more"}`);
    this.held = reason;
    this.#steadySince = this.#world.time.now;
  }

  cutOff(isCutOff: boolean): void {
    this.isCutOff = isCutOff;
    this.#steadySince = this.#world.time.now;
  }

  boot(): void {
    if (this.#life !== undefined) return;
    const { time, bucket, network, options, truth } = this.#world;
    const isAlive = (): boolean => life.isAlive;
    const clock = processClock(time, this.#clockFaults, isAlive);
    const life: Life = { isAlive: true, clock, stop: new AbortController() };
    const coordinator = new Coordinator({
      store: bucket.client(this.name, network, isAlive),
      fleet: "shop",
      host: this.name,
      instance: `${this.name} at ${time.now}`,
      registry: "github://example/shop",
      waves: options.waves,
      bakeMs: options.bakeMs,
      maxFailures: options.maxFailures,
      memberTtlMs: options.memberTtlMs,
      compare: compareVersions,
      clock,
      random: this.#random.fork(String(time.now)),
      emit: (event) => {
        if (life.isAlive) truth.emitted(event);
      },
      running: async () => this.tag,
      check: options.check,
      rollBack: options.rollbackOnHalt
        ? async (to, reason) => {
            await clock.sleep(options.deployMs);
            this.#rollBack(to, reason, coordinator);
          }
        : undefined,
    });
    this.#life = life;
    this.#liveSince = time.now;
    this.#steadySince = time.now;
    void coordinator.run(life.stop.signal);
    void this.#poll(coordinator, life);
  }

  /** Ends it at once, as SIGKILL or a power failure does. */
  kill(): void {
    if (this.#life === undefined) return;
    this.#prove();
    this.#life.isAlive = false;
    this.#life = undefined;
    // Either the version before or the new one is live then.
    if (this.taking !== undefined && this.#random.chance(0.5)) this.tag = this.taking;
    this.#world.truth.note(`${this.name} is killed${this.taking ? ` with ${this.tag}` : ""}`);
    this.taking = undefined;
  }

  #prove(): void {
    const since = this.#world.time.now - this.#liveSince;
    if (this.isUp && this.tag !== undefined && since >= this.#world.options.bakeMs * 0.999) {
      this.#proven.add(this.tag);
    }
  }

  async #poll(coordinator: Coordinator, life: Life): Promise<void> {
    const { pollMs } = this.#world.options;
    await life.clock.sleep(pollMs * this.#random());
    while (life.isAlive) {
      await this.#tick(coordinator, life);
      coordinator.sink({ type: "polled", outcome: "fine" });
      await life.clock.sleep(pollMs * this.#random.between(0.9, 1.1));
    }
  }

  async #tick(coordinator: Coordinator, life: Life): Promise<void> {
    const tag = this.#world.offered;
    const running = this.tag;
    if (tag === undefined || tag === running) return;
    if (this.bad.has(tag)) {
      coordinator.sink({ type: "known-bad", tag, reason: "it has failed before" });
      return;
    }
    if (running !== undefined && compareVersions(tag, running) !== 1) return;
    if (this.held !== undefined) {
      coordinator.sink({ type: "waiting", tag, why: "pinned", reason: this.held });
      return;
    }
    const verdict = await coordinator.admit({ tag, running }, life.stop.signal);
    if (verdict.kind === "go") await this.#deploy(tag, coordinator, life);
    else if (verdict.kind === "instead") await this.#deploy(verdict.tag, coordinator, life);
  }

  async #deploy(tag: string, coordinator: Coordinator, life: Life): Promise<void> {
    const { truth, options } = this.#world;
    const previous = this.tag;
    truth.begins(this, tag);
    this.taking = tag;
    this.beganAt = this.#world.time.now;
    coordinator.sink({ type: "phase-started", phase: "stage", tag });
    await life.clock.sleep(options.deployMs * this.#random.between(0.1, 1));
    const fate = this.#world.fate(tag, this.name);
    this.#prove();
    this.taking = undefined;
    if (fate === "unready") return this.#fail(tag, previous, coordinator);
    this.tag = tag;
    this.#liveSince = this.#world.time.now;
    const event = { previousTag: previous, directory: tag, durationMs: 1, command: "server" };
    coordinator.sink({ type: "deployed", tag, ...event });
    if (fate === "good") return;
    this.#world.time.after(options.bakeMs / 2, () => {
      if (life.isAlive && this.tag === tag) this.#fail(tag, previous, coordinator);
    });
  }

  #rollBack(to: string, reason: string, coordinator: Coordinator): void {
    const tag = this.tag;
    if (tag === undefined || tag === to || this.taking !== undefined) return;
    this.#world.truth.note(`${this.name} goes back to ${to}`);
    this.tag = to;
    this.#liveSince = this.#world.time.now;
    const operator = { user: FLEET_USER, message: reason };
    coordinator.sink({ type: "rolled-back", tag, to, reason, operator });
  }

  #fail(tag: string, to: string | undefined, coordinator: Coordinator): void {
    this.#world.truth.note(`${tag} fails on ${this.name}`);
    this.bad.add(tag);
    this.tag = to;
    this.#liveSince = this.#world.time.now;
    for (const event of failure(tag, to)) coordinator.sink(event);
  }
}

function failure(tag: string, to: string | undefined): DewyEvent[] {
  const error = new DeployError("verify", `${tag} did not become ready`, { fault: "release" });
  const about = { phase: "verify", tag, error, count: 1, retryInMs: undefined } as const;
  const failed: DewyEvent = { type: "failed", ...about };
  return to === undefined
    ? [failed]
    : [{ type: "rolled-back", tag, to, reason: error.message }, failed];
}
