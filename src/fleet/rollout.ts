// A rollout as a value: who may take the version, and what changes when hosts report. No clock, no store.
import { shorten } from "../core/text.ts";
import { rankHosts } from "./rank.ts";
import type { HostFailure, MemberTask, Rollout, WaveSize } from "./types.ts";

export interface RolloutPlan {
  registry: string;
  tag: string;
  waves: readonly WaveSize[];
  maxFailures: number;
  memberTtlMs?: number | undefined;
}

/** What runs on the host that begins stands for the version last rolled out where there was no rollout yet. */
export function beginRollout(
  { registry, tag, waves, maxFailures, memberTtlMs }: RolloutPlan,
  hosts: readonly string[],
  last: Rollout | undefined,
  running: string | undefined,
): Rollout {
  return {
    revision: (last?.revision ?? 0) + 1,
    writer: "",
    registry,
    tag,
    waves: endWithAll(waves),
    maxFailures,
    memberTtlMs,
    hosts: rankHosts(hosts, tag),
    wave: 0,
    state: "running",
    passed: [],
    started: [],
    failed: [],
    lost: [],
    forgiven: [],
    previous: last === undefined ? running : completedTag(last),
  };
}

function endWithAll(waves: readonly WaveSize[]): readonly WaveSize[] {
  const last = waves.at(-1);
  const endsWithAll = last !== undefined && "percent" in last && last.percent >= 100;
  return endsWithAll ? waves : [...waves, { percent: 100 }];
}

/** The version last rolled out completely. */
export function completedTag({ state, tag, previous }: Rollout): string | undefined {
  return state === "done" ? tag : previous;
}

export function isLastWave({ wave, waves }: Rollout): boolean {
  return wave >= waves.length - 1;
}

/** How many hosts may be on the version in the current wave. */
export function waveHosts({ wave, waves, hosts }: Rollout): number {
  const size = waves[wave] ?? { percent: 100 };
  const count = "hosts" in size ? size.hosts : Math.ceil((size.percent * hosts.length) / 100);
  return Math.min(hosts.length, Math.max(1, count));
}

/** The hosts of the current wave: the first ranks, without those that others stand in for. */
export function waveMembers(rollout: Rollout): string[] {
  return ranksLeft(rollout).slice(0, waveHosts(rollout));
}

function ranksLeft(rollout: Rollout): string[] {
  const failed = rollout.failed.map(({ host }) => host);
  const out = new Set([...rollout.passed, ...failed, ...givenUp(rollout)]);
  return rollout.hosts.filter((host) => !out.has(host));
}

/** Vanished hosts on which the version does not run any more, as an operator has vouched for by resuming. */
function givenUp({ lost, forgiven }: Rollout): string[] {
  return lost.filter((host) => forgiven.includes(host));
}

/** The hosts that have taken the version, and have not reported that it failed. */
function onVersion(rollout: Rollout): string[] {
  const off = new Set([...rollout.failed.map(({ host }) => host), ...givenUp(rollout)]);
  return rollout.started.filter((host) => !off.has(host));
}

/** Failures that count: of hosts that took the version, unless they were forgiven. */
export function failuresOf({ failed, lost, forgiven }: Rollout): string[] {
  const hosts = new Set([...failed.map(({ host }) => host), ...lost]);
  return [...hosts].filter((host) => !forgiven.includes(host));
}

/** The rollout once the host takes the version before the last wave; `undefined` if it must not. */
export function startHost(rollout: Rollout, host: string): Rollout | undefined {
  if (rollout.state !== "running" || isLastWave(rollout)) return undefined;
  const on = onVersion(rollout);
  if (on.includes(host)) return rollout;
  const isFull = on.length >= waveHosts(rollout);
  if (isFull || !waveMembers(rollout).includes(host)) return undefined;
  return { ...rollout, started: [...new Set([...rollout.started, host])] };
}

/** The rollout once a host has given its place back without having taken the version. */
export function withoutPlace(rollout: Rollout, host: string): Rollout {
  if (rollout.state !== "running") return rollout;
  return { ...rollout, started: rollout.started.filter((one) => one !== host) };
}

/** The rollout once the host has reported that the version failed on it, and does not run there any more. */
export function failHost(rollout: Rollout, host: string, reason: string): Rollout {
  if (rollout.state !== "running" || rollout.failed.some((one) => one.host === host)) {
    return rollout;
  }
  const failed = [...rollout.failed, { host, reason: shorten(reason, MAX_REASON) }];
  const lost = rollout.lost.filter((one) => one !== host);
  const forgiven = rollout.forgiven.filter((one) => one !== host);
  return haltedByFailures({ ...rollout, failed, lost, forgiven });
}

function haltedByFailures(rollout: Rollout): Rollout {
  const failures = failuresOf(rollout);
  if (failures.length <= rollout.maxFailures) return rollout;
  return { ...rollout, state: "halted", reason: failureText(rollout, failures) };
}

const NAMED_HOSTS = 5;
const MAX_REASON = 300;

function failureText({ failed, maxFailures }: Rollout, failures: readonly string[]): string {
  const named = failures.slice(0, NAMED_HOSTS).map((host) => {
    const reason = failed.find((one) => one.host === host)?.reason;
    return `${host} (${reason ?? "vanished before the end of its bake"})`;
  });
  const more = failures.length > NAMED_HOSTS ? ` and ${failures.length - NAMED_HOSTS} more` : "";
  return `failed on ${named.join(", ")}${more}; --max-failures is ${maxFailures}`;
}

/** What the store shows of a host. */
export interface Sighting {
  /** Whether its record was written within `--member-ttl`. */
  isAlive: boolean;
  /** What runs, and what the host does, as far as its record was read. */
  tag?: string | undefined;
  task?: MemberTask | undefined;
}

export type Sightings = ReadonlyMap<string, Sighting>;

/** `open`: a host of the wave has still to finish. `complete`: the next wave may begin. `unwanted`: only a newer version is. */
export type WaveState = "open" | "complete" | "failed" | "unwanted";

/** The hosts whose records {@link observe} needs; undefined if it needs those of all members. */
export function observedHosts(rollout: Rollout): readonly string[] | undefined {
  if (isLastWave(rollout)) return undefined;
  const { started, passed, lost } = rollout;
  // As many ranks ahead as were passed, so that a thousand hosts that are held take ten evaluations.
  const ahead = ranksLeft(rollout).slice(0, waveHosts(rollout) + passed.length);
  return [...new Set([...ahead, ...started, ...passed, ...lost])];
}

/** The rollout after what its hosts report, and how far its wave is. */
export function observe(
  rollout: Rollout,
  sightings: Sightings,
): { rollout: Rollout; wave: WaveState } {
  if (rollout.state !== "running") return { rollout, wave: "open" };
  const seen = new View(rollout, sightings);
  const lost = seen.hosts.filter((host) => seen.isLost(host));
  const passed = isLastWave(rollout)
    ? rollout.passed
    : rollout.hosts.filter((host) => !rollout.started.includes(host) && !seen.mayTake(host));
  const failed = [...rollout.failed, ...seen.unrecordedFailures()];
  // A host that has come back may fail again.
  const back = new Set(rollout.lost.filter((host) => !lost.includes(host)));
  const forgiven = rollout.forgiven.filter((host) => !back.has(host));
  const next = haltedByFailures({ ...rollout, lost, passed, failed, forgiven });
  if (next.state !== "running") return { rollout: next, wave: "open" };
  const wave = seen.waveOf(next);
  if (wave !== "failed") return { rollout: next, wave };
  const reason = `no host of wave ${next.wave + 1} is left that could finish its bake`;
  return { rollout: { ...next, state: "halted", reason }, wave };
}

class View {
  readonly hosts: readonly string[];
  readonly #rollout: Rollout;
  readonly #sightings: Sightings;

  constructor(rollout: Rollout, sightings: Sightings) {
    this.#rollout = rollout;
    this.#sightings = sightings;
    this.hosts = [...new Set([...rollout.hosts, ...sightings.keys()])];
  }

  isAlive(host: string): boolean {
    return this.#sightings.get(host)?.isAlive === true;
  }

  phase(host: string): MemberTask["phase"] | undefined {
    const task = this.#sightings.get(host)?.task;
    return task?.tag === this.#rollout.tag ? task.phase : undefined;
  }

  /** It runs the version although it did not take it in this rollout: by an operator. */
  #hasItAnyway(host: string): boolean {
    return this.phase(host) === undefined && this.#sightings.get(host)?.tag === this.#rollout.tag;
  }

  #hasTaken(host: string): boolean {
    const phase = this.phase(host);
    return this.#rollout.started.includes(host) || phase === "deploying" || phase === "baking";
  }

  #hasFailed(host: string): boolean {
    return this.#rollout.failed.some((one) => one.host === host) || this.phase(host) === "failed";
  }

  /** Of hosts that could not change the rollout when they failed. */
  unrecordedFailures(): HostFailure[] {
    const recorded = new Set(this.#rollout.failed.map(({ host }) => host));
    return this.hosts.flatMap((host) => {
      if (recorded.has(host) || this.phase(host) !== "failed") return [];
      const reason = this.#sightings.get(host)?.task?.reason ?? "failed";
      return [{ host, reason: shorten(reason, MAX_REASON) }];
    });
  }

  isLost(host: string): boolean {
    const isDone = this.phase(host) === "done";
    return this.#hasTaken(host) && !isDone && !this.#hasFailed(host) && !this.isAlive(host);
  }

  mayTake(host: string): boolean {
    return this.isAlive(host) && this.phase(host) !== "held" && !this.#hasItAnyway(host);
  }

  /** Whether the wave has to wait for the host. */
  #isOpen(host: string, rollout: Rollout): boolean {
    if (!this.isAlive(host) || this.#hasFailed(host) || this.phase(host) === "done") return false;
    if (this.phase(host) === "held") return false;
    if (this.#hasTaken(host)) return true;
    // Others may have its place: it was passed over for a while.
    const hasPlace = isLastWave(rollout) || startHost(rollout, host) !== undefined;
    return hasPlace && this.mayTake(host);
  }

  waveOf(rollout: Rollout): WaveState {
    const isLast = isLastWave(rollout);
    const hosts = isLast ? this.hosts : [...new Set([...waveMembers(rollout), ...rollout.started])];
    if (hosts.some((host) => this.#isOpen(host, rollout))) return "open";
    const isProven = (host: string): boolean =>
      this.phase(host) === "done" || (isLast && this.#hasItAnyway(host));
    if (hosts.some(isProven)) return "complete";
    const isEverywhere = hosts.length === 0 && rollout.passed.some((one) => this.#hasItAnyway(one));
    if (isEverywhere) return "complete";
    if (!isLast && rollout.next !== undefined && hosts.length === 0) return "unwanted";
    // What holds a host may end: a window opens, a pin is removed.
    const mayReturn = (host: string): boolean =>
      this.isAlive(host) && this.phase(host) === "held" && !this.#hasFailed(host);
    return [...hosts, ...rollout.passed].some(mayReturn) ? "open" : "failed";
  }
}

/** The rollout once its wave is complete, and checked. After the last wave, a host that is offered a newer version begins. */
export function nextWave(rollout: Rollout): Rollout {
  if (isLastWave(rollout)) return { ...rollout, state: "done", next: undefined };
  return { ...rollout, wave: rollout.wave + 1 };
}

export function haltRollout(rollout: Rollout, reason: string): Rollout {
  return rollout.state === "running" ? { ...rollout, state: "halted", reason } : rollout;
}

/** Goes on with a halted rollout; its failures so far do not count any more. */
export function resumeRollout(rollout: Rollout): Rollout {
  if (rollout.state !== "halted") return rollout;
  const forgiven = [...new Set([...rollout.forgiven, ...failuresOf(rollout)])];
  return { ...rollout, state: "running", forgiven, reason: undefined };
}

export function abortRollout(rollout: Rollout, reason: string): Rollout {
  const isOver = rollout.state === "done" || rollout.state === "aborted";
  return isOver ? rollout : { ...rollout, state: "aborted", reason, next: undefined };
}

/** What a host has to do that wants to take a version. */
export type Step =
  | { kind: "go" }
  /** Begin a rollout of the version. */
  | { kind: "begin" }
  /** Take a place in the wave. */
  | { kind: "start" }
  /** Write the own record, and read the rollout again. */
  | { kind: "announce" }
  /** Note the version as the next one. */
  | { kind: "note" }
  | { kind: "wait"; reason: string }
  | { kind: "instead"; tag: string; reason: string };

export interface Wish {
  host: string;
  registry: string;
  tag: string;
  /** What runs on the host. */
  running: string | undefined;
  /** Compares versions; `undefined` if they are not versions. */
  compare(a: string, b: string): -1 | 0 | 1 | undefined;
}

export function stepFor(rollout: Rollout | undefined, wish: Wish): Step {
  if (rollout === undefined) return { kind: "begin" };
  if (rollout.registry !== wish.registry) {
    return wait(`the fleet is that of ${rollout.registry}; give this app a --fleet of its own`);
  }
  const completed = completedTag(rollout);
  if (wish.running === undefined && completed !== undefined) {
    if (wish.tag === completed) return { kind: "go" };
    const reason = `${completed} is the version last rolled out completely`;
    return { kind: "instead", tag: completed, reason };
  }
  return wish.tag === rollout.tag ? stepOfRollout(rollout, wish) : stepBeside(rollout, wish);
}

function stepOfRollout(rollout: Rollout, { host }: Wish): Step {
  if (rollout.state === "done") return { kind: "go" };
  if (rollout.state === "halted") return wait(`${stateText(rollout)}; ${HALTED_HINT}`);
  if (rollout.state !== "running") return wait(stateText(rollout));
  if (rollout.failed.some((one) => one.host === host)) return wait(`${rollout.tag} failed here`);
  if (isLastWave(rollout)) return { kind: "announce" };
  if (onVersion(rollout).includes(host)) return { kind: "go" };
  return startHost(rollout, host) === undefined ? wait(stateText(rollout)) : { kind: "start" };
}

const HALTED_HINT = "dewy fleet status shows the hosts, and dewy fleet resume goes on";

function stepBeside(rollout: Rollout, { tag, running, compare }: Wish): Step {
  const { state, next } = rollout;
  const completed = completedTag(rollout);
  if (tag === completed) return { kind: "go" };
  // Its registry is behind, unless the host goes back from what was rolled out.
  const isBehind = completed !== undefined && compare(tag, completed) === -1;
  if (isBehind && running !== completed && running !== rollout.tag) {
    return wait(`older than ${completed}, which is rolled out`);
  }
  if (state !== "running") return { kind: "begin" };
  const isOlder = compare(tag, rollout.tag) === -1;
  if (isOlder) return wait(`older than ${rollout.tag}: ${stateText(rollout)}`);
  if (next === undefined || compare(tag, next) === 1) return { kind: "note" };
  return wait(stateText(rollout));
}

function wait(reason: string): Step {
  return { kind: "wait", reason };
}

/** `the rollout of v1.2.0 is at wave 1 of 3 (1 of 20 hosts)` */
export function stateText(rollout: Rollout): string {
  const { tag, state, wave, waves, hosts, reason } = rollout;
  const because = reason === undefined ? "" : `: ${reason}`;
  if (state !== "running") return `the rollout of ${tag} is ${state}${because}`;
  const count = `${waveHosts(rollout)} of ${hosts.length} hosts`;
  return `the rollout of ${tag} is at wave ${wave + 1} of ${waves.length} (${count})`;
}
