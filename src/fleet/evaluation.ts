import type { Clock } from "../core/clock.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { CheckAnswer, CheckedWave, RolloutCheck } from "./check/types.ts";
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
  const listing = await listSilence(options.at, signal);
  const before = claim.rollout;
  const graceUntil = graceAfter(found, listing, options);
  const calm = { ...before, graceUntil };
  const sightings = await sight(calm, listing, options, signal);
  const observed = observe(calm, sightings);
  const changed =
    observed.wave === "complete"
      ? await checkedNext(observed.rollout, sightings, { claim, options, signal })
      : observed.rollout;
  await removeForgotten(before, listing, options.at, signal);
  if (changed === undefined || JSON.stringify(changed) === JSON.stringify(before)) return undefined;
  return (await claim.write(changed, signal))
    ? { before, after: claim.rollout, version: claim.version }
    : undefined;
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

interface Checking {
  claim: Claim;
  options: EvaluationOptions;
  signal: AbortSignal;
}

/** What follows a complete wave: the next one, the next version, or a halt if the check says so. */
async function checkedNext(
  rollout: Rollout,
  sightings: Sightings,
  { claim, options, signal }: Checking,
): Promise<Rollout | undefined> {
  const { tag, wave, next } = rollout;
  const hosts = [...sightings].flatMap(([host, { task }]) =>
    task?.tag === tag && task.phase === "done" ? [host] : [],
  );
  const asked = { tag, wave: wave + 1, hosts };
  let answer: CheckAnswer | undefined;
  try {
    answer = await checkedMeanwhile(asked, { claim, options, signal });
  } catch (error) {
    signal.throwIfAborted();
    options.emit({
      type: "warning",
      message: "Cannot check the rollout; asked again until there is an answer",
      fields: { tag, wave: wave + 1, reason: messageOf(error) },
    });
    return rollout;
  }
  if (answer === undefined) return undefined;
  if (!answer.ok) {
    return haltRollout(rollout, `the check after wave ${wave + 1} failed: ${answer.reason}`);
  }
  if (next === undefined || isLastWave(rollout)) return nextWave(rollout);
  const alive = [...sightings].flatMap(([host, { isAlive }]) => (isAlive ? [host] : []));
  return beginRollout(options.planOf(next), alive, rollout, undefined);
}

/** Renews the claim while the check runs, so that others do not check as well; `undefined` if it was lost. */
async function checkedMeanwhile(
  wave: CheckedWave,
  { claim, options, signal }: Checking,
): Promise<CheckAnswer | undefined> {
  const { check, clock, memberTtlMs } = options;
  if (check === undefined) return { ok: true };
  const ended = new AbortController();
  const stop = (): void => ended.abort();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const answer = check(wave, ended.signal);
    const renew = async (): Promise<undefined> => {
      for (;;) {
        await clock.sleep(evaluationMs(memberTtlMs) / 2, ended.signal);
        if (!(await claim.write(claim.rollout, signal))) return undefined;
      }
    };
    const lost = renew().catch(() => undefined);
    const result = await Promise.race([answer, lost]);
    stop();
    // A renewal that is under way ends before the result is written.
    await lost;
    await answer.catch(() => {});
    return result;
  } finally {
    stop();
    signal.removeEventListener("abort", stop);
  }
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
