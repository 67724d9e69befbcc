import type { Clock } from "../core/clock.ts";
import type { DewyEvent, EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { operatorText } from "../core/operator.ts";
import { withDeadline } from "../core/timeout.ts";
import type { FleetGate, FleetVerdict } from "../deploy/deployer.ts";
import type { RolloutCheck } from "./check/types.ts";
import { EVALUATION_MS, evaluate } from "./evaluation.ts";
import { OwnRecord } from "./own_record.ts";
import {
  type FleetStore,
  type FoundRollout,
  listMembers,
  readRollout,
  rolloutOf,
  type Swap,
  swapRollout,
} from "./records.ts";
import {
  beginRollout,
  failHost,
  isLastWave,
  type RolloutPlan,
  startHost,
  stateText,
  stepFor,
  type Wish,
} from "./rollout.ts";
import { rolloutEvents } from "./rollout_events.ts";
import type { Rollout, WaveSize } from "./types.ts";

export interface CoordinatorOptions extends FleetStore {
  host: string;
  /** Unique among all dewy processes and restarts of one directory: its identity. */
  instance: string;
  /** What is rolled out, without secrets. */
  registry: string;
  waves: readonly WaveSize[];
  maxFailures: number;
  /** How long a host watches a version before it counts as proven, in milliseconds. */
  bakeMs: number;
  /** How long a silent host counts as a member, in milliseconds. */
  memberTtlMs: number;
  compare: Wish["compare"];
  clock: Clock;
  emit: EventSink;
  /** The tag of what runs here. */
  running(): Promise<string | undefined>;
  check?: RolloutCheck | undefined;
  /** Goes back when the rollout is halted or aborted. Absent without `--rollback-on-halt`. */
  rollBack?: ((to: string, reason: string) => Promise<void>) | undefined;
  random?: () => number;
}

/** One poll asks the store for at most this long. */
const ADMISSION_MS = 30_000;
/** With the records of a thousand hosts, and a check. */
const BEAT_MS = 5 * 60_000;
const MAX_STEPS = 6;

/** Takes part in the rollouts of a fleet for one host. */
export class Coordinator implements FleetGate {
  readonly #options: CoordinatorOptions;
  readonly #own: OwnRecord;
  readonly #random: () => number;
  /** As it was read last. */
  #rollout: Rollout | undefined;
  #bakedAt: number | undefined;
  #offered = new Set<string>();
  #isTroubled = false;
  #wake: () => void = () => {};
  #isWoken = false;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#own = new OwnRecord(options);
  }

  /** Reports to the fleet, and keeps its rollout going, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      this.#isWoken = false;
      await this.#attempt(signal, (limited) => this.#beat(limited), BEAT_MS).catch(() => {});
      const done = new AbortController();
      const either = AbortSignal.any([signal, done.signal]);
      this.#wake = () => done.abort();
      if (this.#isWoken) continue;
      await clock.sleep(this.#pauseMs(), either).catch(() => {});
    }
  }

  async admit(
    version: { tag: string; running: string | undefined },
    signal: AbortSignal,
  ): Promise<FleetVerdict> {
    this.#offered.add(version.tag);
    const verdict = await this.#attempt(signal, (limited) => this.#admit(version, limited));
    return verdict ?? { kind: "wait", reason: UNREACHABLE };
  }

  async #admit(
    { tag, running }: { tag: string; running: string | undefined },
    signal: AbortSignal,
  ): Promise<FleetVerdict> {
    const { host, registry, compare } = this.#options;
    await this.#own.begin(signal);
    let isAnnounced = false;
    for (let step = 0; step < MAX_STEPS; step++) {
      const rollout = this.#noted(await this.#read(signal));
      const next = stepFor(rollout, { host, registry, tag, running, compare });
      switch (next.kind) {
        case "wait":
          await this.#own.report({ tag, phase: "waiting", reason: next.reason }, running, signal);
          return next;
        case "go":
        case "instead":
          return next;
        case "begin":
          await this.#begin(tag, running, signal);
          break;
        case "note":
          await this.#swap((current) => current && { ...current, next: tag }, signal);
          return { kind: "wait", reason: `${rollout && stateText(rollout)}; ${tag} comes next` };
        case "start":
          if (!(await this.#start(tag, signal))) break;
          await this.#own.report({ tag, phase: "deploying" }, running, signal);
          return { kind: "go" };
        case "announce":
          if (isAnnounced) return { kind: "go" };
          await this.#own.report({ tag, phase: "deploying" }, running, signal);
          isAnnounced = true;
      }
    }
    return { kind: "wait", reason: "other hosts are changing the rollout at this moment" };
  }

  async #begin(tag: string, running: string | undefined, signal: AbortSignal): Promise<void> {
    const { host, memberTtlMs } = this.#options;
    // So that this host is a member, and its record the newest.
    await this.#own.report(undefined, running, signal);
    const members = await listMembers(this.#options, memberTtlMs, signal);
    const alive = [...members].filter(([, { isAlive }]) => isAlive).map(([name]) => name);
    const hosts = [...new Set([...alive, host])];
    await this.#swap((current) => {
      const isFree = current === undefined || current.state !== "running";
      const isBegun = current?.tag === tag && current.state !== "done";
      if (!isFree || isBegun) return undefined;
      return beginRollout(this.#planOf(tag), hosts, current, running);
    }, signal);
  }

  #planOf(tag: string): RolloutPlan {
    const { registry, waves, maxFailures } = this.#options;
    return { registry, tag, waves, maxFailures };
  }

  /** Returns whether this host has a place in the wave. */
  async #start(tag: string, signal: AbortSignal): Promise<boolean> {
    const { host } = this.#options;
    let hasPlace = false;
    const swap = await this.#swap((current) => {
      const isSame = current?.tag === tag && !isLastWave(current);
      const started = isSame ? startHost(current, host) : undefined;
      hasPlace = started !== undefined && started === current;
      return started;
    }, signal);
    return hasPlace || swap?.after.started.includes(host) === true;
  }

  async #swap(
    change: (current: Rollout | undefined) => Rollout | undefined,
    signal: AbortSignal,
  ): Promise<Swap | undefined> {
    const { host: writer, clock } = this.#options;
    const swap = await swapRollout(this.#options, change, {
      writer,
      clock,
      random: this.#random,
      signal,
    });
    this.#tell(swap);
    return swap;
  }

  #tell(swap: Swap | undefined): void {
    if (swap === undefined) return;
    this.#rollout = swap.after;
    for (const event of rolloutEvents(this.#options.fleet, swap)) this.#options.emit(event);
  }

  async #read(signal: AbortSignal): Promise<FoundRollout | undefined> {
    return readRollout(this.#options, signal);
  }

  #noted(found: FoundRollout | undefined): Rollout | undefined {
    this.#rollout = rolloutOf(found, this.#options);
    return this.#rollout;
  }

  /** Runs work on the store; `undefined` if that fails, which is reported once. Rejects only if the signal is aborted. */
  async #attempt<T>(
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
    ms: number = ADMISSION_MS,
  ): Promise<T | undefined> {
    const { clock, emit, store, fleet } = this.#options;
    try {
      const value = await withDeadline(clock, ms, signal, work);
      if (this.#isTroubled) emit({ type: "warning", message: REACHED, fields: { fleet } });
      this.#isTroubled = false;
      return value;
    } catch (error) {
      signal.throwIfAborted();
      if (this.#isTroubled) return undefined;
      this.#isTroubled = true;
      const fields = { fleet, store: store.name, error: messageOf(error) };
      emit({ type: "warning", important: true, message: TROUBLE, fields });
      return undefined;
    }
  }

  async #beat(signal: AbortSignal): Promise<void> {
    const { running, memberTtlMs, at, host, clock, emit, check } = {
      ...this.#options,
      at: this.#options,
    };
    await this.#own.begin(signal);
    const tag = await running();
    this.#finishBake(tag);
    await this.#own.report(undefined, tag, signal);
    const found = await this.#read(signal);
    const rollout = this.#noted(found);
    if (rollout === undefined || found === undefined) return;
    await this.#followHalt(rollout, tag, signal);
    const isOld = found.ageMs === undefined || found.ageMs >= EVALUATION_MS;
    if (rollout.state !== "running" || rollout.registry !== this.#options.registry || !isOld)
      return;
    const planOf = (next: string): RolloutPlan => this.#planOf(next);
    const options = { at, host, memberTtlMs, clock, emit, check, planOf };
    this.#tell(await evaluate({ ...found, record: rollout }, options, signal));
  }

  /** Goes back with `--rollback-on-halt`, and reports a failure that the rollout does not know yet. */
  async #followHalt(rollout: Rollout, tag: string | undefined, signal: AbortSignal): Promise<void> {
    const { rollBack, host } = this.#options;
    const { task } = this.#own;
    if (task?.tag !== rollout.tag) return;
    if (task.phase === "failed" && rollout.state === "running") {
      const reason = task.reason ?? "failed";
      await this.#swap(
        (now) => (now?.tag === task.tag ? failHost(now, host, reason) : undefined),
        signal,
      );
    }
    const isStopped = rollout.state === "halted" || rollout.state === "aborted";
    const runsIt = tag === rollout.tag && (task.phase === "baking" || task.phase === "done");
    if (!isStopped || !runsIt || rollBack === undefined || rollout.previous === undefined) return;
    this.#own.set({ tag: rollout.tag, phase: "rolled-back", reason: stateText(rollout) });
    await rollBack(rollout.previous, stateText(rollout));
  }

  #finishBake(running: string | undefined): void {
    const { task } = this.#own;
    if (task?.phase !== "baking") return;
    this.#bakedAt ??= this.#options.clock.monotonic() + this.#options.bakeMs;
    if (running === task.tag && this.#options.clock.monotonic() >= this.#bakedAt) {
      this.#own.set({ tag: task.tag, phase: "done" });
    }
  }

  #pauseMs(): number {
    const { memberTtlMs, clock } = this.#options;
    const jitter = 0.75 + this.#random() / 4;
    const isBusy = this.#isTroubled || this.#rollout?.state === "running";
    const beatMs = Math.min(memberTtlMs / 4, isBusy ? EVALUATION_MS : Number.POSITIVE_INFINITY);
    const bakeMs =
      this.#own.task?.phase === "baking" && this.#bakedAt !== undefined
        ? Math.max(100, this.#bakedAt - clock.monotonic())
        : Number.POSITIVE_INFINITY;
    return Math.min(beatMs * jitter, bakeMs);
  }

  /** Follows what happens on this host. */
  readonly sink: EventSink = (event) => {
    const { task } = this.#own;
    if (!this.#follow(event, task?.tag, task?.phase)) return;
    this.#isWoken = true;
    this.#wake();
  };

  #follow(event: DewyEvent, tag: string | undefined, phase: string | undefined): boolean {
    const isUnderWay = phase === "deploying" || phase === "baking";
    switch (event.type) {
      case "deployed":
        if (event.operator !== undefined || event.tag !== tag || phase !== "deploying")
          return false;
        this.#bakedAt = undefined;
        this.#own.set({ tag, phase: "baking" });
        return true;
      case "failed":
        if (event.tag === undefined || event.tag !== tag || !isUnderWay) return false;
        // A release at fault fails again, however often it is retried.
        if (event.retryInMs === undefined || event.error.fault === "release") {
          this.#own.set({ tag, phase: "failed", reason: event.error.message });
        } else {
          this.#own.set({ tag, phase: "deploying", reason: event.error.message });
        }
        return true;
      case "known-bad":
        if (event.tag !== tag || !isUnderWay) return false;
        this.#own.set({ tag, phase: "failed", reason: event.reason });
        return true;
      case "rolled-back":
        if (event.tag !== tag || event.operator === undefined || !isUnderWay) return false;
        this.#own.set({
          tag,
          phase: "failed",
          reason: `rolled back by ${operatorText(event.operator)}`,
        });
        return true;
      case "waiting":
        this.#offered.add(event.tag);
        return event.why !== "fleet" && this.#hold(event.tag, event.reason);
      case "polled": {
        const wanted = this.#rollout?.state === "running" ? this.#rollout.tag : undefined;
        const isMissing = wanted !== undefined && !this.#offered.has(wanted);
        this.#offered = new Set();
        return isMissing && event.outcome !== "unreachable" && this.#hold(wanted, NOT_OFFERED);
      }
      default:
        return false;
    }
  }

  /** Says that this host may not take the version of the rollout now. */
  #hold(tag: string, reason: string): boolean {
    const { task } = this.#own;
    if (tag !== this.#rollout?.tag) return false;
    const isOpen = task?.tag !== tag || task.phase === "waiting";
    if (!isOpen || this.#own.tag === tag) return false;
    this.#own.set({ tag, phase: "held", reason });
    return true;
  }
}

const UNREACHABLE = "the store of the fleet cannot be used now; what runs is kept";
const TROUBLE = "Cannot use the store of the fleet; what runs is kept, and nothing new is taken";
const REACHED = "Store of the fleet is in use again";
const NOT_OFFERED = "its registry does not offer the version here";
