import type { DewyEvent } from "../core/event.ts";
import { FLEET_USER, operatorText } from "../core/operator.ts";
import type { MemberTask } from "./types.ts";

/** A deploy that fails this often counts as failed, although it is retried: it would hold up the wave. */
const MAX_ATTEMPTS = 3;

/** What a host does for the rollout after an event of its deploys; `undefined` if that does not change. */
export function taskAfter(event: DewyEvent, task: MemberTask | undefined): MemberTask | undefined {
  if (task === undefined || !("tag" in event) || event.tag !== task.tag) return undefined;
  const { tag, phase } = task;
  const hasTaken = phase === "deploying" || phase === "baking" || phase === "done";
  if (!hasTaken) return undefined;
  switch (event.type) {
    case "deployed":
      return phase === "deploying" && event.operator === undefined
        ? { tag, phase: "baking" }
        : undefined;
    case "failed": {
      if (phase !== "deploying") return undefined;
      const isFinal = event.retryInMs === undefined || event.count >= MAX_ATTEMPTS;
      return { tag, phase: isFinal ? "failed" : "deploying", reason: event.error.message };
    }
    case "known-bad":
      return { tag, phase: "failed", reason: event.reason };
    case "rolled-back": {
      const { operator, reason } = event;
      if (operator?.user === FLEET_USER) return { tag, phase: "rolled-back", reason };
      const by = operator && `rolled back by ${operatorText(operator)}`;
      return { tag, phase: "failed", reason: by ?? reason };
    }
    case "given-up":
    case "superseded":
      return phase === "deploying" ? { tag, phase: "waiting" } : undefined;
    default:
      return undefined;
  }
}
