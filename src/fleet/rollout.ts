import { rankHosts } from "./rank.ts";
import type { FleetVerdict, Member, Rollout, WaveSize } from "./types.ts";

export interface RolloutPlan {
  tag: string;
  waves: readonly WaveSize[];
  maxFailures: number;
}

/** A rollout of all current members. Every host takes the version in the last wave. */
export function beginRollout(
  { tag, waves, maxFailures }: RolloutPlan,
  hosts: readonly string[],
  last: Rollout | undefined,
  now: number,
): Rollout {
  return {
    tag,
    startedAt: now,
    waves: endWithAll(waves),
    hosts: rankHosts(hosts, tag),
    wave: 0,
    waveSince: now,
    state: "running",
    failed: [],
    maxFailures,
    previous: last?.state === "done" ? last.tag : last?.previous,
  };
}

function endWithAll(waves: readonly WaveSize[]): readonly WaveSize[] {
  const last = waves.at(-1);
  const endsWithAll = last !== undefined && "percent" in last && last.percent >= 100;
  return endsWithAll ? waves : [...waves, { percent: 100 }];
}

/** The rollout after what its members report; the same object if nothing changes. */
export function advanceRollout(
  rollout: Rollout,
  members: readonly Member[],
  now: number,
  memberTtlMs: number,
): Rollout {
  if (rollout.state !== "running") return rollout;
  const isAlive = (member: Member): boolean => now - member.seenAt <= memberTtlMs;
  const failed = failedHosts(rollout, members, isAlive);
  const changed =
    failed.join("\n") === rollout.failed.join("\n") ? rollout : { ...rollout, failed };
  if (failed.length > rollout.maxFailures) {
    const reason = `failed on ${failed.length} hosts, --max-failures is ${rollout.maxFailures}`;
    return { ...changed, state: "halted", reason };
  }
  if (!isWaveComplete(changed, members, isAlive)) return changed;
  if (isLastWave(rollout)) return { ...changed, state: "done" };
  return { ...changed, wave: rollout.wave + 1, waveSince: now };
}

/** A host that vanished before its bake ended stays failed until it reports again. */
function failedHosts(
  { tag, failed }: Rollout,
  members: readonly Member[],
  isAlive: (member: Member) => boolean,
): string[] {
  const hosts = new Set(failed);
  for (const member of members) {
    const phase = member.task?.tag === tag ? member.task.phase : undefined;
    const hasBegun = phase === "deploying" || phase === "baking";
    if (phase === "failed" || phase === "rolled-back") hosts.add(member.host);
    else if (hasBegun && !isAlive(member)) hosts.add(member.host);
    else if (phase === "done" || (hasBegun && isAlive(member))) hosts.delete(member.host);
  }
  return [...hosts].sort();
}

function isWaveComplete(
  rollout: Rollout,
  members: readonly Member[],
  isAlive: (member: Member) => boolean,
): boolean {
  const admitted = members.filter((member) => mayTake(rollout, member.host));
  const phases = admitted.map((member) => {
    const phase = member.task?.tag === rollout.tag ? member.task.phase : undefined;
    const isSettled = phase === "held" || phase === "failed" || phase === "rolled-back";
    return { phase, isOpen: isAlive(member) && phase !== "done" && !isSettled };
  });
  return phases.some(({ phase }) => phase === "done") && !phases.some(({ isOpen }) => isOpen);
}

function isLastWave({ wave, waves }: Rollout): boolean {
  return wave >= waves.length - 1;
}

/** Whether the current wave, or one before it, has the host. */
export function mayTake(rollout: Rollout, host: string): boolean {
  if (isLastWave(rollout)) return true;
  const size = rollout.waves[rollout.wave];
  const rank = rollout.hosts.indexOf(host);
  return size !== undefined && rank >= 0 && rank < waveHosts(size, rollout.hosts.length);
}

export function waveHosts(size: WaveSize, members: number): number {
  const hosts = "hosts" in size ? size.hosts : Math.ceil((size.percent * members) / 100);
  return Math.min(members, Math.max(1, hosts));
}

/** Whether the host may take the version `tag` while `running` is live on it. */
export function fleetVerdict(
  rollout: Rollout,
  host: string,
  {
    tag,
    running,
    rollbackOnHalt,
  }: {
    tag: string;
    running: string | undefined;
    rollbackOnHalt: boolean;
  },
): FleetVerdict {
  const { state, previous } = rollout;
  const name = `the rollout of ${rollout.tag}`;
  if (state === "done" && tag === rollout.tag) return { kind: "go" };
  if (running === undefined && tag === previous) return { kind: "go" };
  if (state === "running" && tag === rollout.tag) {
    if (running !== undefined && mayTake(rollout, host)) return { kind: "go" };
    if (running === undefined && previous === undefined && mayTake(rollout, host)) {
      return { kind: "go" };
    }
    return {
      kind: "wait",
      reason: `${name} is at wave ${rollout.wave + 1} of ${rollout.waves.length}`,
    };
  }
  const reason = `${name} is ${state}${rollout.reason === undefined ? "" : `: ${rollout.reason}`}`;
  const goesBack = state === "halted" && rollbackOnHalt && running === rollout.tag;
  if (goesBack && previous !== undefined) return { kind: "roll-back", to: previous, reason };
  return { kind: "wait", reason };
}
