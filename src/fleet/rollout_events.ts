import type { DewyEvent } from "../core/event.ts";
import { isFromOperator, type Swap } from "./records.ts";
import { isLastWave, waveHosts } from "./rollout.ts";
import type { Rollout } from "./types.ts";

type RolloutEvent = Extract<DewyEvent, { type: "rollout" }>;

/**
 * What a change of the rollout means to people. Only the host whose write made it reports it; what an operator has done is
 * reported by the host that writes next.
 */
export function rolloutEvents(fleet: string, swap: Swap): RolloutEvent[] {
  const { before } = swap;
  const changes = changesOf(fleet, swap);
  if (before === undefined || !isFromOperator(before)) return changes;
  const change = before.state === "running" ? "resumed" : "aborted";
  return [eventOf(fleet, before, change), ...changes];
}

function changesOf(fleet: string, { before, after }: Swap): RolloutEvent[] {
  const isNew = before === undefined || before.tag !== after.tag || isBegunAgain(before, after);
  if (!isNew) return changeOf(before, after).map((change) => eventOf(fleet, after, change));
  const ended = before?.state === "running" && isLastWave(before);
  return [
    ...(ended ? [eventOf(fleet, before, "done" as const)] : []),
    eventOf(fleet, after, "began"),
  ];
}

function isBegunAgain(before: Rollout, after: Rollout): boolean {
  return before.state !== "running" && before.state !== "halted" && after.state === "running";
}

function changeOf(before: Rollout, after: Rollout): RolloutEvent["change"][] {
  if (before.state !== after.state) return [after.state === "running" ? "resumed" : after.state];
  return before.wave === after.wave ? [] : ["wave"];
}

function eventOf(fleet: string, rollout: Rollout, change: RolloutEvent["change"]): RolloutEvent {
  const { tag, wave, waves, hosts, reason } = rollout;
  return {
    type: "rollout",
    fleet,
    tag,
    change,
    wave: wave + 1,
    waves: waves.length,
    hosts: waveHosts(rollout),
    of: hosts.length,
    ...(reason === undefined ? {} : { reason }),
  };
}
