import type { AppStatus, InstanceStatus } from "../../control/protocol.ts";

/** What a colour and an icon say; it is always said in words, too. */
export type Tone = "good" | "busy" | "warn" | "bad" | "calm";

export interface Verdict {
  tone: Tone;
  /** `Serving, deploying v1.5.0`. */
  text: string;
}

/** The phases of a deploy in their order. */
export const PHASES = ["stage", "before", "activate", "verify", "bake", "commit", "after"] as const;

export type Phase = (typeof PHASES)[number];

/** The phases of what an operator's rollback does. */
const ROLLBACK_PHASES: readonly Phase[] = ["activate", "verify", "commit"];

export interface Change {
  tag: string;
  /** `deploying v1.5.0`. */
  text: string;
  phases: readonly Phase[];
  /** Where it is in its phases. */
  at: number;
}

/** The deploy or the rollback under way. */
export function changeOf({ phase: { name, tag = "" }, order }: InstanceStatus): Change | undefined {
  const isRollback = order?.kind === "rollback" && order.tag === tag;
  const phases = isRollback ? ROLLBACK_PHASES : PHASES;
  const at = phases.indexOf(name as Phase);
  if (at === -1) return undefined;
  return { tag, text: `${isRollback ? "rolling back to" : "deploying"} ${tag}`, phases, at };
}

/** The answer to "is it well?" in a few words. */
export function verdictOf(status: InstanceStatus): Verdict {
  const { problem, process: running, phase, live } = status;
  if (problem !== undefined) return { tone: "bad", text: "dewy does not answer" };
  if (running === undefined) return { tone: "calm", text: "dewy does not run" };
  if (phase.name === "stopping") return { tone: "calm", text: "Stopping" };
  const change = changeOf(status);
  if (live === undefined && change !== undefined) {
    return { tone: "busy", text: `Deploying ${change.tag}` };
  }
  const health = healthOf(status);
  const also = alsoOf(status);
  if (also === undefined) return health;
  const isWell = health.tone === "good" || health.tone === "calm";
  const tone = isWell ? (also.tone ?? health.tone) : health.tone;
  return { tone, text: `${health.text}, ${also.text}` };
}

const HEALTH: Readonly<Record<AppStatus["health"], Verdict>> = {
  serving: { tone: "good", text: "Serving" },
  starting: { tone: "busy", text: "Starting" },
  restarting: { tone: "bad", text: "Restarting" },
  degraded: { tone: "warn", text: "Degraded" },
  finished: { tone: "calm", text: "Finished" },
  down: { tone: "bad", text: "Down" },
};

function healthOf({ app, live }: InstanceStatus): Verdict {
  if (live === undefined) return { tone: "calm", text: "Nothing deployed yet" };
  if (app === undefined) return { tone: "good", text: "Deployed" };
  const { health, replicas, wanted } = app;
  const verdict = HEALTH[health];
  if (health !== "degraded" || wanted === undefined) return verdict;
  const serving = replicas?.filter(({ state }) => state === "serving").length ?? 0;
  return { ...verdict, text: `${verdict.text}: ${serving} of ${wanted} replicas` };
}

interface Also {
  /** Absent for what is as an operator wants it, perhaps for weeks. */
  tone?: Tone;
  text: string;
}

/** What holds in addition to the health; the most urgent one. */
function alsoOf(status: InstanceStatus): Also | undefined {
  const { lastPoll, paused, pinned } = status;
  const change = changeOf(status);
  if (change !== undefined) return { tone: "busy", text: change.text };
  if (lastPoll?.outcome === "unreachable") return { tone: "warn", text: "registry unreachable" };
  if (lastPoll?.outcome === "failed") return { tone: "warn", text: "last deploy failed" };
  if (paused !== undefined) return { tone: "warn", text: "paused" };
  if (pinned !== undefined) return { text: `pinned to ${pinned.tag}` };
  return undefined;
}
