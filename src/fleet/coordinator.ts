import type { Clock } from "../core/clock.ts";
import { exclusive } from "../core/concurrency.ts";
import type { DewyEvent, EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { abortWith } from "../core/timeout.ts";
import type { FleetGate, FleetVerdict } from "../deploy/deployer.ts";
import type { RolloutCheck } from "./check/types.ts";
import { evaluate, evaluationMs } from "./evaluation.ts";
import { Offers } from "./offers.ts";
import { OwnRecord } from "./own_record.ts";
import { taskAfter } from "./own_task.ts";
import {
  type FleetStore,
  isFromOperator,
  listMembers,
  readRollout,
  rolloutOf,
  swapRollout,
} from "./records.ts";
import {
  beginRollout,
  failHost,
  type RolloutPlan,
  startHost,
  stateText,
  stepFor,
  type Wish,
  withoutPlace,
} from "./rollout.ts";
import { rolloutEvents } from "./rollout_events.ts";
import { StoreTrouble } from "./store_trouble.ts";
import type { MemberTask, Rollout, WaveSize } from "./types.ts";

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

type Version = Parameters<FleetGate["admit"]>[0];

/** One poll asks the store for at most this long. */
const ADMISSION_MS = 30_000;
/** With the records of a thousand hosts, and a check. */
const BEAT_MS = 5 * 60_000;
const MAX_STEPS = 8;
/** A host of a large fleet reads the rollout this many times less often. */
const MAX_CROWD = 4;
/** A wave that must wait for something else is looked at again soon. */
const SHORTEST_PAUSE_MS = 100;

/** Takes part in the rollouts of a fleet for one host. */
export class Coordinator implements FleetGate {
  readonly #options: CoordinatorOptions;
  readonly #own: OwnRecord;
  readonly #random: () => number;
  readonly #trouble: StoreTrouble;
  /** As it was read last. */
  #rollout: Rollout | undefined;
  #bakedAt: number | undefined;
  readonly #offers = new Offers();
  /** A place is taken and given back one at a time. */
  readonly #exclusively = exclusive();
  #isGoingBack = false;
  #wakeUp: () => void = () => {};
  #isWoken = false;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#own = new OwnRecord(options, this.#random);
    this.#trouble = new StoreTrouble(options);
  }

  /** Reports to the fleet, and keeps its rollout going, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#isWoken = false;
      const beat = this.#trouble.attempt(BEAT_MS, signal, (limited) => this.#beat(limited));
      // Only a whole beat shows that the store can be read, written and listed.
      if ((await beat.catch(() => undefined)) === true) this.#trouble.end();
      if (!this.#isWoken) await this.#pause(signal);
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const ended = new AbortController();
    const detach = abortWith(ended, signal);
    this.#wakeUp = () => ended.abort();
    await this.#options.clock.sleep(this.#pauseMs(), ended.signal).catch(() => {});
    detach();
  }

  #pauseMs(): number {
    const { memberTtlMs, clock } = this.#options;
    const jitter = 1 + this.#random() / 4;
    const isBusy = this.#trouble.isNow || this.#rollout?.state === "running";
    // Of many hosts, enough look often.
    const crowd = Math.max(1, Math.min(MAX_CROWD, (this.#rollout?.hosts.length ?? 0) / 20));
    const nextMs = isBusy ? evaluationMs(memberTtlMs) * crowd * jitter : memberTtlMs / 4;
    const bakeMs = this.#bakedAt === undefined ? nextMs : this.#bakedAt - clock.monotonic();
    const reportMs = this.#trouble.isNow ? nextMs : this.#own.dueInMs;
    return Math.max(SHORTEST_PAUSE_MS, Math.min(nextMs, bakeMs, reportMs));
  }

  #wake(): void {
    this.#isWoken = true;
    this.#wakeUp();
  }

  async admit(version: Version, signal: AbortSignal): Promise<FleetVerdict> {
    this.#offers.offered(version.tag);
    const wasInTrouble = this.#trouble.isNow;
    const work = (limited: AbortSignal): Promise<FleetVerdict> =>
      this.#exclusively(() => this.#admit(version, limited));
    const verdict = await this.#trouble.attempt(ADMISSION_MS, signal, work);
    if (!wasInTrouble && this.#trouble.isNow) this.#wake();
    const { task } = this.#own;
    const isUnderWay = task?.tag === version.tag && task.phase === "deploying";
    if (verdict?.kind !== "go" && isUnderWay) this.#set({ ...task, phase: "waiting" });
    return verdict ?? { kind: "wait", reason: this.#trouble.reason };
  }

  async #admit({ tag, running }: Version, signal: AbortSignal): Promise<FleetVerdict> {
    const wish = this.#wishFor({ tag, running });
    await this.#own.begin(signal);
    let isAnnounced = false;
    for (let count = 0; count < MAX_STEPS; count++) {
      const rollout = await this.#read(signal);
      const step = stepFor(rollout, wish);
      switch (step.kind) {
        case "instead":
          return step;
        case "wait":
          if (this.#isOfRollout(tag)) this.#set({ tag, phase: "waiting" });
          return step;
        case "go":
          if (tag === rollout?.tag) await this.#announce(tag, running, signal);
          return step;
        case "announce":
          // The rollout is read again after the others can see that this host takes the version.
          if (isAnnounced) return { kind: "go" };
          await this.#announce(tag, running, signal);
          isAnnounced = true;
          break;
        case "start":
          await this.#swap((now) => this.#ifStill("start", now, wish, startHost), signal);
          break;
        case "note":
          await this.#swap((now) => this.#ifStill("note", now, wish, noteNext(tag)), signal);
          return { kind: "wait", reason: `${rollout && stateText(rollout)}; ${tag} comes next` };
        case "begin":
          await this.#begin(wish, signal);
      }
    }
    return { kind: "wait", reason: "other hosts are changing the rollout at this moment" };
  }

  #wishFor(version: Version): Wish {
    const { host, registry, compare } = this.#options;
    return { host, registry, compare, ...version };
  }

  /** A change of the rollout that still is what this host has to do. */
  #ifStill(
    kind: "start" | "note",
    now: Rollout | undefined,
    wish: Wish,
    change: (rollout: Rollout, host: string) => Rollout | undefined,
  ): Rollout | undefined {
    const isStill = now !== undefined && stepFor(now, wish).kind === kind;
    return isStill ? change(now, wish.host) : undefined;
  }

  async #announce(tag: string, running: string | undefined, signal: AbortSignal): Promise<void> {
    this.#own.set({ tag, phase: "deploying" });
    await this.#own.report(running, signal);
  }

  async #begin(wish: Wish, signal: AbortSignal): Promise<void> {
    const { host, memberTtlMs } = this.#options;
    const { tag, running } = wish;
    // So that its record is the newest object: the ages of the others count from it.
    await this.#own.report(running, signal, { isForced: true });
    const members = await listMembers(this.#options, memberTtlMs, signal);
    const alive = [...members].flatMap(([name, { isAlive }]) => (isAlive ? [name] : []));
    const hosts = [...new Set([...alive, host])];
    await this.#swap((now) => {
      const isStill = stepFor(now, wish).kind === "begin";
      return isStill ? beginRollout(this.#planOf(tag), hosts, now, running) : undefined;
    }, signal);
  }

  #planOf(tag: string): RolloutPlan {
    const { registry, waves, maxFailures, memberTtlMs } = this.#options;
    return { registry, tag, waves, maxFailures, memberTtlMs };
  }

  async #swap(
    change: (current: Rollout | undefined) => Rollout | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { host: writer, clock } = this.#options;
    const options = { writer, clock, random: this.#random, signal };
    this.#tell(await swapRollout(this.#options, change, options));
  }

  #tell(swap: Awaited<ReturnType<typeof swapRollout>>): void {
    if (swap === undefined) return;
    this.#rollout = swap.after;
    for (const event of rolloutEvents(this.#options.fleet, swap)) this.#options.emit(event);
  }

  async #read(signal: AbortSignal): Promise<Rollout | undefined> {
    this.#rollout = rolloutOf(await readRollout(this.#options, signal), this.#options);
    return this.#rollout;
  }

  async #beat(signal: AbortSignal): Promise<true> {
    const { registry, memberTtlMs } = this.#options;
    await this.#own.begin(signal);
    const found = await readRollout(this.#options, signal);
    const { task } = this.#own;
    const running = await this.#options.running();
    const rollout = rolloutOf(found, this.#options);
    this.#rollout = rollout;
    const isOurs = found !== undefined && rollout?.registry === registry;
    // Otherwise a deploy has ended meanwhile, which has woken this loop.
    const isSteady = this.#own.task === task;
    if (isOurs && isSteady) this.#settle(rollout, running);
    await this.#own.report(running, signal);
    if (isOurs && isFromOperator(rollout)) await this.#swap(answered, signal);
    if (!isOurs || rollout.state !== "running") return true;
    await this.#reportFailure(rollout, signal);
    await this.#exclusively(() => this.#givePlaceBack(rollout, signal));
    const { ageMs = Number.POSITIVE_INFINITY } = found;
    if (ageMs < evaluationMs(memberTtlMs)) return true;
    const planOf = (tag: string): RolloutPlan => this.#planOf(tag);
    const options = { ...this.#options, at: this.#options, planOf };
    this.#tell(await evaluate({ ...found, record: rollout }, options, signal));
    return true;
  }

  /** What time, a restart or the end of the rollout make of this host's task. */
  #settle(rollout: Rollout, running: string | undefined): void {
    const { host, clock, bakeMs } = this.#options;
    const { tag } = rollout;
    const phase = this.#own.task?.tag === tag ? this.#own.task.phase : undefined;
    const runsIt = running === tag;
    const wasUnderWay = this.#own.isResumed && phase === "deploying";
    const isLostRecord = phase === undefined && rollout.started.includes(host);
    if (runsIt && (wasUnderWay || isLostRecord)) this.#own.set({ tag, phase: "baking" });
    const heldBy = this.#offers.holdOf(tag);
    if (heldBy !== undefined && rollout.state === "running") this.#hold(tag, heldBy);
    const isWatched = phase === "baking" || phase === "done";
    if (isWatched && !runsIt && running !== undefined && rollout.state === "running") {
      this.#own.set({ tag, phase: "failed", reason: `${running} runs instead` });
    }
    const isBaking = this.#own.task?.tag === tag && this.#own.task.phase === "baking";
    if (!isBaking) this.#bakedAt = undefined;
    else this.#bakedAt ??= clock.monotonic() + bakeMs;
    if (this.#bakedAt !== undefined && clock.monotonic() >= this.#bakedAt) {
      this.#own.set({ tag, phase: "done" });
      this.#bakedAt = undefined;
    }
    const isStopped = rollout.state === "halted" || rollout.state === "aborted";
    if (isStopped && runsIt && isWatched) this.#goBack(rollout);
  }

  /** It takes as long as it takes; meanwhile this host reports to the fleet. */
  #goBack(rollout: Rollout): void {
    const { rollBack, running, emit } = this.#options;
    const { tag, previous } = rollout;
    if (rollBack === undefined || previous === undefined || this.#isGoingBack) return;
    this.#isGoingBack = true;
    const reason = stateText(rollout);
    rollBack(previous, reason)
      .then(running)
      .then((live) => {
        if (live !== tag) this.#set({ tag, phase: "rolled-back", reason });
      })
      .catch((error: unknown) => {
        const fields = { tag, to: previous, error: messageOf(error) };
        emit({ type: "warning", important: true, message: NOT_BACK, fields });
      })
      .finally(() => {
        this.#isGoingBack = false;
      });
  }

  async #reportFailure({ tag, failed }: Rollout, signal: AbortSignal): Promise<void> {
    const { task } = this.#own;
    const { host } = this.#options;
    if (task?.tag !== tag || task.phase !== "failed") return;
    if (failed.some((one) => one.host === host)) return;
    const reason = task.reason ?? "failed";
    await this.#swap((now) => (now?.tag === tag ? failHost(now, host, reason) : undefined), signal);
  }

  /** A host that may not take the version after all, such as one that was pinned meanwhile. */
  async #givePlaceBack({ tag, started }: Rollout, signal: AbortSignal): Promise<void> {
    const { host } = this.#options;
    const { task } = this.#own;
    const isHeld = task?.tag === tag && task.phase === "held";
    if (!isHeld || !started.includes(host)) return;
    await this.#swap((now) => (now?.tag === tag ? withoutPlace(now, host) : undefined), signal);
  }

  /** Follows what happens on this host. */
  readonly sink: EventSink = (event) => {
    const next = taskAfter(event, this.#own.task);
    if (next !== undefined) {
      if (next.phase === "baking") this.#bakedAt = undefined;
      this.#set(next);
    }
    this.#follow(event);
  };

  #follow(event: DewyEvent): void {
    switch (event.type) {
      case "waiting":
        if (event.why === "fleet") return;
        this.#offers.held(event.tag, event.reason);
        if (this.#isOfRollout(event.tag)) this.#hold(event.tag, event.reason);
        return;
      case "unchanged":
      case "up-to-date":
        this.#offers.offered(event.tag);
        return;
      case "polled": {
        const tag = this.#rollout?.tag;
        const { task } = this.#own;
        // Its deploy is tried again later; until then no poll asks the fleet.
        if (event.outcome === "failed" && task !== undefined) this.#offers.offered(task.tag);
        const isOpen = tag !== undefined && this.#isOfRollout(tag);
        if (!this.#offers.endPoll(isOpen ? tag : undefined) || tag === undefined) return;
        this.#missed(tag, event.outcome === "unreachable" ? UNANSWERED : NOT_OFFERED);
      }
    }
  }

  /** A poll has ended in which this host was not offered the version of the rollout. */
  #missed(tag: string, reason: string): void {
    const { task } = this.#own;
    const phase = task?.tag === tag ? task.phase : undefined;
    // Before a restart it had begun to take the version, which is marked bad here, or not offered any more.
    const isLeft = phase === "deploying" && this.#own.isResumed && reason === NOT_OFFERED;
    if (isLeft) this.#set({ tag, phase: "failed", reason });
    else if (phase !== "held") this.#hold(tag, this.#offers.holdOf(tag) ?? reason);
  }

  /** Says that this host may not take the version of the rollout now. */
  #hold(tag: string, reason: string): void {
    const { task } = this.#own;
    const isBetween = task?.phase === "deploying" && task.reason !== undefined;
    const isFree =
      task?.tag !== tag || isBetween || ["waiting", "held", "rolled-back"].includes(task.phase);
    if (isFree && this.#own.tag !== tag) this.#set({ tag, phase: "held", reason });
  }

  #isOfRollout(tag: string): boolean {
    const { registry } = this.#options;
    const rollout = this.#rollout;
    return rollout?.state === "running" && rollout.tag === tag && rollout.registry === registry;
  }

  #set(task: MemberTask): void {
    if (this.#own.set(task)) this.#wake();
  }
}

/** What an operator has done is reported once: by the host that makes this change. */
function answered(rollout: Rollout | undefined): Rollout | undefined {
  return rollout && isFromOperator(rollout) ? { ...rollout } : undefined;
}

function noteNext(tag: string): (rollout: Rollout) => Rollout {
  return (rollout) => ({ ...rollout, next: tag });
}

const NOT_BACK = "Cannot go back after the rollout was stopped";
const UNANSWERED = "its registry does not answer";
const NOT_OFFERED = "its registry does not offer the version here";
