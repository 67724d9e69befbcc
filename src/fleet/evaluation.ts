import type { Clock } from "../core/clock.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { RolloutCheck } from "./check/types.ts";
import {
  type FleetStore,
  type FoundRollout,
  listMembers,
  readMember,
  rolloutKey,
  type Swap,
  writeRecord,
} from "./records.ts";
import {
  beginRollout,
  haltRollout,
  nextWave,
  observe,
  observedHosts,
  type RolloutPlan,
  type Sighting,
  type Sightings,
} from "./rollout.ts";
import type { Rollout } from "./types.ts";

/** Evaluations of all hosts together are at least this far apart. */
export const EVALUATION_MS = 15_000;
const CONCURRENT_READS = 16;

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
 * Lets the rollout follow what its hosts report. One host does so at a time: it claims the evaluation by a write. Returns
 * the change; `undefined` if nothing changed, or another host was faster.
 */
export async function evaluate(
  found: FoundRollout & { record: Rollout },
  options: EvaluationOptions,
  signal: AbortSignal,
): Promise<Swap | undefined> {
  const { at, host, memberTtlMs } = options;
  const write = (rollout: Rollout, version: string): Promise<string | undefined> =>
    writeRecord(at.store, rolloutKey(at.fleet), rollout, version, signal);
  const before = { ...found.record, revision: found.record.revision + 1, writer: host };
  const claim = await write(before, found.version);
  if (claim === undefined) return undefined;
  const members = await listMembers(at, memberTtlMs, signal);
  const sightings = await sight(before, members, at, signal);
  const observed = observe(before, sightings);
  const hosts = [...members].filter(([, { isAlive }]) => isAlive).map(([name]) => name);
  const changed =
    observed.wave === "complete"
      ? await checkedNext(observed.rollout, { sightings, hosts }, options, signal)
      : observed.rollout;
  if (JSON.stringify(changed) === JSON.stringify(before)) return undefined;
  const after = { ...changed, revision: before.revision + 1, writer: host };
  const version = await write(after, claim);
  return version === undefined ? undefined : { before, after, version };
}

async function sight(
  rollout: Rollout,
  members: ReadonlyMap<string, { isAlive: boolean }>,
  at: FleetStore,
  signal: AbortSignal,
): Promise<Sightings> {
  const sightings = new Map<string, Sighting>(members);
  const left = [...(observedHosts(rollout) ?? members.keys())];
  const reader = async (): Promise<void> => {
    for (let host = left.pop(); host !== undefined; host = left.pop()) {
      const { isAlive = false } = members.get(host) ?? {};
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
  { sightings, hosts }: { sightings: Sightings; hosts: readonly string[] },
  { check, emit, planOf }: EvaluationOptions,
  signal: AbortSignal,
): Promise<Rollout> {
  const { tag, wave, next } = rollout;
  const done = [...sightings].filter(([, { task }]) => task?.tag === tag && task.phase === "done");
  try {
    const answer = await check?.(
      { tag, wave: wave + 1, hosts: done.map(([name]) => name) },
      signal,
    );
    if (answer?.ok === false) {
      return haltRollout(rollout, `the check after wave ${wave + 1} failed: ${answer.reason}`);
    }
  } catch (error) {
    signal.throwIfAborted();
    emit({
      type: "warning",
      message: "Cannot check the rollout; asked again until there is an answer",
      fields: { tag, wave: wave + 1, reason: messageOf(error) },
    });
    return rollout;
  }
  if (next === undefined) return nextWave(rollout);
  const { state } = nextWave(rollout);
  return beginRollout(planOf(next), hosts, { ...rollout, state }, undefined);
}
