// What keeps an available version from coming by itself.
import { formatDuration } from "../core/duration.ts";
import type { DewyEvent } from "../core/event.ts";
import { operatorText } from "../core/operator.ts";
import { parseVersion, versionOf } from "../version/version.ts";
import { compareTags, firstSeen, highestTag, newestTag, skippedBy } from "./decisions.ts";
import type { Candidate } from "./deployer.ts";
import { type DeployState, findRelease, isBad } from "./state.ts";

/** The parts of the version policy that can hold a version back. */
export interface GatePolicy {
  calver: string;
  /** Whether nothing lower than the highest version deployed here comes by itself. Defaults to false. */
  noDowngrade?: boolean;
  /** Whether a jump of more than one major version waits for an operator. Defaults to false. */
  confirmMajor?: boolean;
  /** The age in milliseconds that a version must have. Defaults to 0. */
  minAgeMs?: number;
  /** When the next deploy window opens, in milliseconds since the epoch; `undefined` if it is open. Defaults to open. */
  opensAt?: (now: number) => number | undefined;
}

export type Wait = Extract<DewyEvent, { type: "waiting" }>;

export interface Gate {
  state: DeployState;
  /** The live directory. */
  live: string | undefined;
  policy: GatePolicy;
  now: number;
}

/** Whether a version runs that is not marked bad. */
function runs({ state, live }: Gate): boolean {
  return live !== undefined && !isBad(state, live);
}

/** Never holds back the running version, such as another artifact of it. */
export function skipWait(tag: string, { state, live, policy }: Gate): Wait | undefined {
  const entry = skippedBy(state, tag, policy.calver);
  if (entry === undefined || tag === findRelease(state, live)?.tag) return undefined;
  const range = entry.tag !== tag ? `with every version up to ${entry.tag} ` : "";
  const reason = `skipped ${range}by ${operatorText(entry)}`;
  return { type: "waiting", tag, why: "skipped", reason };
}

/** The age counts from the publication or the first sight, whichever is later. */
export function ageWait({ release, artifact }: Candidate, gate: Gate): Wait | undefined {
  const { state, policy, now } = gate;
  const { tag } = release;
  const minAgeMs = policy.minAgeMs ?? 0;
  const published = publishedAt(release);
  const seen = runs(gate) ? Math.min(firstSeen(state, tag, artifact) ?? now, now) : undefined;
  const since = Math.max(published ?? 0, seen ?? 0);
  const until = since + minAgeMs;
  if (until <= now) return undefined;
  const start = since === published ? "published" : "first seen";
  return tooYoung(tag, start, { since, until, minAgeMs });
}

/** The same for a machine on which nothing runs: only the publication counts. */
export function publicationWait(
  release: Candidate["release"],
  minAgeMs: number,
  now: number,
): Wait | undefined {
  const since = publishedAt(release);
  if (since === undefined || since + minAgeMs <= now) return undefined;
  return tooYoung(release.tag, "published", { since, until: since + minAgeMs, minAgeMs });
}

function publishedAt({ createdAt }: Candidate["release"]): number | undefined {
  const time = createdAt?.getTime();
  return time === undefined || Number.isNaN(time) ? undefined : time;
}

function tooYoung(
  tag: string,
  start: string,
  { since, until, minAgeMs }: { since: number; until: number; minAgeMs: number },
): Wait {
  const reason = `${start} ${new Date(since).toISOString()}, --min-age is ${formatDuration(minAgeMs)}`;
  return { type: "waiting", tag, why: "min-age", reason, until: new Date(until) };
}

/** Why a pause or a pin keeps the version from coming. */
export function decisionWait(tag: string, { state, live, policy }: Gate): Wait | undefined {
  const { paused, pinned } = state;
  if (paused !== undefined) {
    return { type: "waiting", tag, why: "paused", reason: `paused by ${operatorText(paused)}` };
  }
  if (pinned === undefined) return undefined;
  const pin = `pinned to ${pinned.tag} by ${operatorText(pinned)}`;
  if (pinned.tag !== tag) return { type: "waiting", tag, why: "pinned", reason: pin };
  const running = findRelease(state, live)?.tag;
  if (!isOlder(tag, running, policy)) return undefined;
  const reason = `${pin}, but older than ${running}, which runs; dewy deploy ${tag} goes back to it`;
  return { type: "waiting", tag, why: "pinned", reason };
}

/** Checked when a version would be deployed: the decisions of operators first, the window last. */
export function deployWait(tag: string, gate: Gate): Wait | undefined {
  return decisionWait(tag, gate) ?? downgradeWait(tag, gate) ?? windowWait(tag, gate);
}

function downgradeWait(tag: string, gate: Gate): Wait | undefined {
  const highest = highestHere(gate);
  if (!gate.policy.noDowngrade || !isOlder(tag, highest, gate.policy)) return undefined;
  if (isNamed(tag, gate)) return undefined;
  const reason = `older than ${highest}, the highest version deployed here; only dewy deploy ${tag} goes back to it`;
  return { type: "waiting", tag, why: "no-downgrade", reason };
}

/** A version number that no later one could exceed would keep the real ones from coming. */
export function majorWait(tag: string, gate: Gate): Wait | undefined {
  const { confirmMajor, calver } = gate.policy;
  const highest = highestHere(gate);
  if (!confirmMajor || highest === undefined || isNamed(tag, gate)) return undefined;
  const [next, last] = [tag, highest].map((one) => majorOf(one, calver));
  if (next === undefined || last === undefined || next <= last + 1) return undefined;
  const reason = `more than one major version above ${highest}, the highest version deployed here; dewy deploy ${tag} confirms it`;
  return { type: "waiting", tag, why: "major", reason };
}

/** For CalVer, the first part of the format. */
function majorOf(tag: string, calver: string): number | undefined {
  return parseVersion(versionOf(tag, calver), { calver })?.segments[0];
}

function highestHere({ state, live, policy: { calver } }: Gate): string | undefined {
  const tags = [highestTag(state, calver), findRelease(state, live)?.tag];
  return newestTag(
    tags.filter((tag) => tag !== undefined),
    calver,
  );
}

/** Whether the version runs, such as with another artifact, or an operator has pinned it. */
function isNamed(tag: string, { state, live }: Gate): boolean {
  return tag === findRelease(state, live)?.tag || tag === state.pinned?.tag;
}

function windowWait(tag: string, gate: Gate): Wait | undefined {
  const opensAt = runs(gate) ? gate.policy.opensAt?.(gate.now) : undefined;
  if (opensAt === undefined) return undefined;
  const reason = "no deploy window is open";
  return { type: "waiting", tag, why: "window", reason, until: new Date(opensAt) };
}

function isOlder(tag: string, running: string | undefined, { calver }: GatePolicy): boolean {
  return running !== undefined && compareTags(tag, running, calver) === -1;
}

/** Asked again during an automatic deploy, when decisions may have changed. */
export function switchWait(tag: string, gate: Gate, hasBegun: boolean): Wait | undefined {
  const wait = skipWait(tag, gate) ?? decisionWait(tag, gate);
  return wait ?? (hasBegun ? undefined : windowWait(tag, gate));
}
