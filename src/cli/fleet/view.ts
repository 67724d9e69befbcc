import { waveHosts } from "../../fleet/rollout.ts";
import type { Member, MemberTask, Rollout, WaveSize } from "../../fleet/types.ts";

/** A member's record, and how long ago it was written, by the clock of the store. */
export interface SeenMember {
  member: Member;
  silentMs: number;
}

export interface FleetSighting {
  rollout: Rollout | undefined;
  members: readonly SeenMember[];
  memberTtlMs: number;
}

/** `lost`: it has taken the version and vanished. `gone`: it has vanished otherwise. `idle`: it has no part in the rollout. */
export type HostState = MemberTask["phase"] | "lost" | "gone" | "idle";

export interface HostView {
  host: string;
  /** What runs there. */
  tag: string | undefined;
  /** From 1; `undefined` without a rollout, and for a host that is passed over. */
  wave: number | undefined;
  state: HostState;
  reason: string | undefined;
  /** How long ago it reported; `undefined` if it never has. */
  silentMs: number | undefined;
}

/** All hosts of a fleet: those of the rollout by rank, then those that have joined later. */
export function hostViews(sighting: FleetSighting): HostView[] {
  const { rollout } = sighting;
  const members = new Map(sighting.members.map((seen) => [seen.member.host, seen]));
  const ranked = rollout?.hosts ?? [];
  const later = [...members.keys()].filter((host) => !ranked.includes(host)).sort();
  const waves = rollout === undefined ? undefined : wavesOf(rollout);
  return [...ranked, ...later].map((host) => {
    const seen = members.get(host);
    const { state, reason } = stateOf(host, seen, sighting);
    const isLater = rollout !== undefined && !ranked.includes(host);
    return {
      host,
      tag: seen?.member.tag,
      wave: isLater ? rollout.waves.length : waves?.get(host),
      state,
      reason,
      silentMs: seen?.silentMs,
    };
  });
}

/** The next ranks stand in for hosts that are passed over, and for those that had failed before. */
function wavesOf(rollout: Rollout): Map<string, number> {
  const { hosts, passed, failed, waves } = rollout;
  const sizes = waves.map((_, wave) => waveHosts({ ...rollout, wave }));
  const failures = failed.map(({ host }) => host);
  const taking = hosts.filter((host) => !passed.includes(host));
  return new Map(
    taking.map((host) => {
      const own = failures.indexOf(host);
      const before = own < 0 ? failures : failures.slice(0, own);
      const rank = taking.filter((one) => !before.includes(one)).indexOf(host);
      const wave = sizes.findIndex((size) => rank < size);
      return [host, wave < 0 ? waves.length : wave + 1];
    }),
  );
}

function stateOf(
  host: string,
  seen: SeenMember | undefined,
  { rollout, memberTtlMs }: FleetSighting,
): Pick<HostView, "state" | "reason"> {
  const failure = rollout?.failed.find((one) => one.host === host);
  const task = seen?.member.task;
  const current = task !== undefined && task.tag === rollout?.tag ? task : undefined;
  const isGone = seen === undefined || seen.silentMs > memberTtlMs;
  if (rollout?.lost.includes(host)) return { state: "lost", reason: undefined };
  if (failure !== undefined && current?.phase !== "rolled-back") {
    return { state: "failed", reason: failure.reason };
  }
  if (isGone) return { state: "gone", reason: undefined };
  if (current !== undefined) return { state: current.phase, reason: current.reason };
  if (rollout === undefined) return { state: "idle", reason: undefined };
  if (seen.member.tag === rollout.tag) return { state: "done", reason: undefined };
  return { state: rollout.state === "running" ? "waiting" : "idle", reason: undefined };
}

/** `1`, `10%`. */
export function waveText(size: WaveSize): string {
  return "hosts" in size ? String(size.hosts) : `${size.percent}%`;
}
