import type { Clock } from "../core/clock.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { abortWith } from "../core/timeout.ts";
import type { RolloutCheck } from "./check/types.ts";
import {
  type FleetStore,
  type FoundRollout,
  type Listing,
  listSilence,
  memberKey,
  readMember,
  rolloutKey,
  type Swap,
  unchangedSince,
  writeRecord,
} from "./records.ts";
import {
  beginRollout,
  haltRollout,
  isLastWave,
  nextWave,
  observe,
  observedHosts,
  type RolloutPlan,
  type Sighting,
  type Sightings,
} from "./rollout.ts";
import type { Rollout } from "./types.ts";

const MAX_EVALUATION_MS = 15_000;
// Fewer than the ten listeners on one signal that Node warns of.
const CONCURRENT_READS = 8;
const DAY_MS = 24 * 60 * 60_000;
/** Records of hosts that are silent for longer are removed, a few at a time. */
const KEPT_MS = 7 * DAY_MS;
const REMOVED_AT_ONCE = 20;

/** How far apart evaluations are, of all hosts together. */
export function evaluationMs(memberTtlMs: number): number {
  return Math.min(MAX_EVALUATION_MS, memberTtlMs / 8);
}

export interface EvaluationOptions {
  at: FleetStore;
  host: string;
  memberTtlMs: number;
  clock: Clock;
  emit: EventSink;
  check?: RolloutCheck | undefined;
  /** The plan of this host for a version that is rolled out next. */
  planOf(tag: string): RolloutPlan;
}

/**
 * Lets the rollout follow what its hosts report. One host does so at a time: it claims the evaluation by a write, and its
 * result counts only if nobody has changed the rollout since. Returns the change; `undefined` if there is none.
 */
export async function evaluate(
  found: FoundRollout & { record: Rollout },
  options: EvaluationOptions,
  signal: AbortSignal,
): Promise<Swap | undefined> {
  const claim = new Claim(found, options);
  if (!(await claim.write(found.record, signal))) return undefined;
  const before = claim.rollout;
  const changed = await claim.during(
    (limited) => followed(found, before, options, limited),
    signal,
  );
  if (changed === undefined || JSON.stringify(changed) === JSON.stringify(before)) return undefined;
  return (await claim.write(changed, signal))
    ? { before, after: claim.rollout, version: claim.version }
    : undefined;
}

/** The rollout after what its hosts report. */
async function followed(
  found: FoundRollout,
  before: Rollout,
  options: EvaluationOptions,
  signal: AbortSignal,
): Promise<Rollout> {
  const listing = await listSilence(options.at, signal);
  const calm = { ...before, graceUntil: graceAfter(found, listing, options) };
  const sightings = await sight(calm, listing, options, signal);
  await removeForgotten(before, listing, options.at, signal);
  const { rollout, wave } = observe(calm, sightings);
  if (wave === "unwanted") return replaced(rollout, sightings, options);
  return wave === "complete" ? checkedNext(rollout, sightings, options, signal) : rollout;
}

/** The rollout while one host evaluates it. */
class Claim {
  rollout: Rollout;
  version = "";
  readonly #options: EvaluationOptions;
  #found: FoundRollout | undefined;

  constructor(found: FoundRollout & { record: Rollout }, options: EvaluationOptions) {
    this.rollout = found.record;
    this.#options = options;
    this.#found = found;
  }

  /** Returns whether the rollout is still as this host has left it, and now as given. */
  async write(rollout: Rollout, signal: AbortSignal): Promise<boolean> {
    const { at, host } = this.#options;
    const next = { ...rollout, revision: this.rollout.revision + 1, writer: host };
    const condition = unchangedSince(this.#found);
    const version = await writeRecord(at.store, rolloutKey(at.fleet), next, condition, signal);
    if (version === undefined) return false;
    this.rollout = next;
    this.version = version;
    this.#found = { record: next, version, ageMs: 0 };
    return true;
  }

  /**
   * Renews the claim while the work runs, so that others do not do it as well: a thousand records and a check take a while.
   * Resolves with `undefined` if the claim was lost.
   */
  async during<T>(
    work: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T | undefined> {
    const { clock, memberTtlMs } = this.#options;
    const ended = new AbortController();
    const detach = abortWith(ended, signal);
    const renew = async (): Promise<undefined> => {
      do await clock.sleep(evaluationMs(memberTtlMs) / 2, ended.signal);
      while (await this.write(this.rollout, signal));
    };
    try {
      const result = work(ended.signal);
      const lost = renew().catch(() => undefined);
      const first = await Promise.race([result, lost]);
      ended.abort();
      // A renewal that is under way ends before the result is written.
      await lost;
      await result.catch(() => {});
      return first;
    } finally {
      ended.abort();
      detach();
    }
  }
}

/** Nobody has evaluated for a while, so that hosts may be silent because the store was down. They get time to report. */
function graceAfter(
  { ageMs = 0, record }: FoundRollout,
  { now }: Listing,
  { memberTtlMs }: EvaluationOptions,
): number | undefined {
  if (ageMs > memberTtlMs / 2) return now + memberTtlMs;
  const until = record?.graceUntil;
  return until !== undefined && until > now ? until : undefined;
}

async function sight(
  rollout: Rollout,
  { silentMs, now }: Listing,
  { at, memberTtlMs }: EvaluationOptions,
  signal: AbortSignal,
): Promise<Sightings> {
  const { graceUntil = 0 } = rollout;
  const sightings = new Map<string, Sighting>();
  for (const [host, ms] of silentMs) {
    const mayBeSilent = now < graceUntil && !rollout.lost.includes(host);
    sightings.set(host, { isAlive: ms <= memberTtlMs || mayBeSilent });
  }
  const left = [...(observedHosts(rollout) ?? sightings.keys())];
  const reader = async (): Promise<void> => {
    for (let host = left.pop(); host !== undefined; host = left.pop()) {
      const { isAlive = false } = sightings.get(host) ?? {};
      const record = (await readMember(at, host, signal))?.record;
      sightings.set(host, { isAlive, tag: record?.tag, task: record?.task });
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT_READS }, reader));
  return sightings;
}

/** What follows a complete wave: the next one, the next version, or a halt if the check says so. */
async function checkedNext(
  rollout: Rollout,
  sightings: Sightings,
  options: EvaluationOptions,
  signal: AbortSignal,
): Promise<Rollout> {
  const { tag, wave } = rollout;
  const hosts = [...sightings].flatMap(([host, { task }]) =>
    task?.tag === tag && task.phase === "done" ? [host] : [],
  );
  try {
    const answer = await options.check?.({ tag, wave: wave + 1, hosts }, signal);
    if (answer?.ok === false) {
      return haltRollout(rollout, `the check after wave ${wave + 1} failed: ${answer.reason}`);
    }
  } catch (error) {
    signal.throwIfAborted();
    options.emit({
      type: "warning",
      message: "Cannot check the rollout; asked again until there is an answer",
      fields: { tag, wave: wave + 1, reason: messageOf(error) },
    });
    return rollout;
  }
  return isLastWave(rollout) ? nextWave(rollout) : replaced(rollout, sightings, options);
}

/** The rollout of the newer version, or the next wave if there is none. */
function replaced(rollout: Rollout, sightings: Sightings, { planOf }: EvaluationOptions): Rollout {
  const { next } = rollout;
  if (next === undefined) return nextWave(rollout);
  const alive = [...sightings].flatMap(([host, { isAlive }]) => (isAlive ? [host] : []));
  return beginRollout(planOf(next), alive, rollout, undefined);
}

async function removeForgotten(
  rollout: Rollout,
  { silentMs }: Listing,
  at: FleetStore,
  signal: AbortSignal,
): Promise<void> {
  const forgotten = [...silentMs].flatMap(([host, ms]) =>
    ms > KEPT_MS && !rollout.hosts.includes(host) ? [host] : [],
  );
  for (const host of forgotten.slice(0, REMOVED_AT_ONCE)) {
    await at.store.remove(memberKey(at.fleet, host), signal);
  }
}
