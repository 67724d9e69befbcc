import type { JournalEntry } from "../../journal/entry.ts";
import { PHASES, type Tone } from "./verdict.ts";

export type Outcome = "deployed" | "rolled-back" | "failed" | "superseded" | "given-up";

/** An attempt to deploy a version, or an operator's rollback. */
export interface DeployItem {
  kind: "deploy";
  key: string;
  outcome: Outcome;
  /** The entry that decided the outcome, with what the other entries of the attempt add. */
  entry: JournalEntry;
  /** In their order, with their duration in milliseconds. */
  phases: readonly (readonly [name: string, ms: number])[];
  totalMs: number;
  hooks: readonly JournalEntry[];
}

/** Something else that has happened, once or several times in a row. */
export interface EventItem {
  kind: "event";
  key: string;
  entry: JournalEntry;
  count: number;
}

export type TimelineItem = DeployItem | EventItem;

const OUTCOMES: ReadonlySet<string> = new Set<Outcome>([
  "deployed",
  "rolled-back",
  "failed",
  "superseded",
  "given-up",
]);

/** The other events that are shown. */
export const EVENT_TEXTS: Readonly<Record<string, readonly [tone: Tone, text: string]>> = {
  started: ["calm", "dewy started"],
  stopping: ["calm", "dewy stopped"],
  ordered: ["busy", "Command"],
  refused: ["warn", "Command refused"],
  failed: ["bad", "Failed"],
  "succeeded-again": ["good", "Succeeded again"],
  "signer-trusted": ["calm", "Signer trusted"],
  recovered: ["warn", "Recovered"],
  waiting: ["warn", "Waiting"],
  held: ["warn", "Held"],
  "known-bad": ["warn", "Known to be bad"],
  "bytes-changed": ["bad", "Bytes changed"],
  "would-deploy": ["calm", "Would be deployed"],
  "crash-loop": ["bad", "Crash loop"],
  "app-exited": ["bad", "App exited"],
  resumed: ["bad", "Restart failed"],
  "start-failed": ["bad", "Start failed"],
  "replica-lost": ["bad", "Replica lost"],
  "app-restart": ["calm", "App restarted"],
  "notifications-lost": ["warn", "Notifications lost"],
  uncaught: ["bad", "Uncaught error"],
  driver: ["warn", "Notice"],
  warning: ["warn", "Warning"],
  gap: ["warn", "Gap"],
};

const MAX_DEPLOYS = 10;
const MAX_ITEMS = 30;

/** Returns the last deploys and what happened between them, the latest first. */
export function timelineOf(entries: readonly JournalEntry[]): readonly TimelineItem[] {
  const items: TimelineItem[] = [];
  const hooks = new Map<string, JournalEntry[]>();
  for (const entry of entries) {
    if (entry.event === "hook" && entry.deploy !== undefined) {
      hooks.set(entry.deploy, [...(hooks.get(entry.deploy) ?? []), entry]);
    } else if (OUTCOMES.has(entry.event) && entry.tag !== undefined) {
      addDeploy(items, entry, hooks.get(entry.deploy ?? "") ?? []);
    } else if (Object.hasOwn(EVENT_TEXTS, entry.event) && !leadsToDeploy(entry)) {
      addEvent(items, entry);
    }
  }
  return latest(items.reverse());
}

/** The deploy or the rollback itself says by whom it was asked for. */
function leadsToDeploy({ event, command = "" }: JournalEntry): boolean {
  return event === "ordered" && /^(rollback|deploy)\b/.test(command);
}

/** A version that fails after it took over has two entries: that it was rolled back, and why it failed. */
function addDeploy(
  items: TimelineItem[],
  entry: JournalEntry,
  hooks: readonly JournalEntry[],
): void {
  const key = entry.deploy ?? `${entry.event}-${entry.at}`;
  const at = items.findIndex((item) => item.key === key);
  const [earlier] = at === -1 ? [] : items.splice(at, 1);
  const merged = { ...earlier?.entry, ...entry };
  const phases = phasesOf(merged);
  items.push({
    kind: "deploy",
    key,
    outcome: earlier?.entry.event === "rolled-back" ? "rolled-back" : (entry.event as Outcome),
    entry: merged,
    phases,
    totalMs: merged.durationMs ?? phases.reduce((sum, [, ms]) => sum + ms, 0),
    hooks,
  });
}

function phasesOf({ phases = {} }: JournalEntry): DeployItem["phases"] {
  return PHASES.flatMap((name) => {
    const ms = phases[name];
    return ms === undefined ? [] : [[name, Math.max(0, ms)] as const];
  });
}

function addEvent(items: TimelineItem[], entry: JournalEntry): void {
  const previous = items.at(-1);
  const isSame =
    previous?.kind === "event" &&
    previous.entry.event === entry.event &&
    previous.entry.tag === entry.tag &&
    entry.event !== "ordered";
  if (isSame) items.pop();
  const count = isSame ? previous.count + 1 : 1;
  const key = isSame ? previous.key : `${entry.event}-${entry.at}`;
  items.push({ kind: "event", key, entry, count });
}

function latest(items: readonly TimelineItem[]): readonly TimelineItem[] {
  let deploys = 0;
  const end = items.findIndex(({ kind }) => kind === "deploy" && ++deploys > MAX_DEPLOYS);
  return items.slice(0, Math.min(MAX_ITEMS, end === -1 ? items.length : end));
}
