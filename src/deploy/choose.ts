import { NotFoundError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import type { Artifact, Registry, Resolution } from "../core/types.ts";
import { matchesArtifact } from "../platform/artifact_pattern.ts";
import { SAME_POLL_MS } from "../resolve/resolve.ts";
import { compilePolicy } from "../version/load_constraint.ts";
import { compareVersions, NewestTag, versionOf } from "../version/version.ts";
import { compareTags, skippedBy } from "./decisions.ts";
import type { Candidate } from "./deployer.ts";
import {
  ageWait,
  decisionWait,
  deployWait,
  type GatePolicy,
  majorWait,
  skipWait,
  type Wait,
} from "./gate.ts";
import {
  type ByteIdentity,
  type DeployedRelease,
  type DeployState,
  knownBytes,
  sameBytes,
} from "./state.ts";

export interface VersionPolicy extends GatePolicy {
  preRelease: boolean;
  constraint: string;
  slot: string;
  /** The artifact's name, or a pattern for it; empty if it is chosen by platform. */
  artifact: string;
  /** Tags whose bytes may differ from the known ones once. */
  acceptChanged: readonly string[];
  /** How long the registry's listing may stay the same without a warning, in milliseconds. Defaults to forever. */
  maxStalenessMs?: number | undefined;
}

export interface ChoiceInput {
  registry: Registry;
  state: DeployState;
  live: string | undefined;
  running: DeployedRelease | undefined;
  policy: VersionPolicy;
  /** Milliseconds since the epoch. */
  now: number;
  emit: EventSink;
  signal: AbortSignal;
}

export type Choice = Verdict & {
  /** Candidates that `acceptChanged` has accepted. They must be saved before anything else is done. */
  accepted?: readonly Candidate[];
  /** Candidates whose first sight counts for the minimum age. */
  seen?: readonly Candidate[];
};

type Verdict =
  | { kind: "deploy"; candidate: Candidate }
  | { kind: "stay" }
  /** No version, or not the newest, can be deployed. That is reported as a failure. */
  | { kind: "problem"; error: NotFoundError; candidate?: Candidate };

/** More than the recorded bad versions: a registry may ignore `exclude`. */
const MAX_ROUNDS = 150;

export async function chooseVersion(input: ChoiceInput): Promise<Choice> {
  const search = beginSearch(input);
  const newest = await chooseNewest(search);
  return choiceOf(await choosePinned(newest, gated(newest, search), search), search);
}

/** Chooses the version of a tag, although the registry offers a newer one. `name` is for messages. */
export async function chooseNamed(tag: string, name: string, input: ChoiceInput): Promise<Choice> {
  const search = beginSearch(input);
  return choiceOf((await chooseTag(tag, name, search)) ?? { kind: "stay" }, search);
}

function beginSearch(input: ChoiceInput): Search {
  return { ...input, accepted: [], seen: [], met: new Set(), hasWaiting: false };
}

function choiceOf(verdict: Verdict, { accepted, seen }: Search): Choice {
  return {
    ...verdict,
    ...(accepted.length === 0 ? {} : { accepted }),
    ...(seen.length === 0 ? {} : { seen }),
  };
}

/** The findings of a search in addition to its verdict. */
interface Search extends ChoiceInput {
  accepted: Candidate[];
  seen: Candidate[];
  /** The tags that are not deployed, and were reported. */
  met: Set<string>;
  /** Whether a version waits because of its age or its number, while earlier ones may come. */
  hasWaiting: boolean;
}

async function chooseNewest(input: Search): Promise<Verdict> {
  const exclude: string[] = [];
  let problem: NotFoundError | undefined;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const maxAge = round === 0 ? {} : { maxAgeMs: SAME_POLL_MS };
    const resolution = await input.registry.resolve({ exclude, signal: input.signal, ...maxAge });
    const skipped = await skippedTag(resolution, input);
    if (skipped === undefined) {
      return withProblem(await judge(resolution, input, exclude.length > 0), problem);
    }
    input.met.add(skipped.tag);
    if (skipped.problem !== undefined) problem ??= skipped.problem;
    if (skipped.final || exclude.includes(skipped.tag))
      return withProblem({ kind: "stay" }, problem);
    exclude.push(skipped.tag);
  }
  return withProblem({ kind: "stay" }, problem);
}

/** Nothing is deployed if the operator's decisions or the policy hold the version back. */
function gated(verdict: Verdict, input: Search): Verdict {
  const tag = candidateOf(verdict)?.release.tag;
  const wait = tag === undefined ? undefined : deployWait(tag, input);
  return wait === undefined ? verdict : waiting(wait, verdict, input);
}

function waiting(wait: Wait, verdict: Verdict, { emit }: Search): Verdict {
  emit(wait);
  return verdict.kind === "problem" ? { ...verdict, candidate: undefined } : { kind: "stay" };
}

function candidateOf(verdict: Verdict): Candidate | undefined {
  return verdict.kind === "stay" ? undefined : verdict.candidate;
}

/** While a version is pinned, it comes by itself even if the registry has newer ones. */
async function choosePinned(newest: Verdict, verdict: Verdict, input: Search): Promise<Verdict> {
  const { state, running } = input;
  const { pinned } = state;
  if (pinned === undefined) return verdict;
  const { tag } = pinned;
  const isJudged = input.met.has(tag) || tag === candidateOf(newest)?.release.tag;
  if (isJudged || tag === running?.tag) return verdict;
  const chosen = await chooseTag(tag, "the pinned version", input);
  const problem = verdict.kind === "problem" ? verdict.error : undefined;
  return chosen === undefined ? verdict : withProblem(chosen, problem);
}

/** Returns `undefined` if the version is not complete yet, or unfit; events have reported that. */
async function chooseTag(tag: string, name: string, input: Search): Promise<Verdict | undefined> {
  const { registry, signal, emit } = input;
  const wait = skipWait(tag, input) ?? decisionWait(tag, input);
  if (wait !== undefined) {
    emit(wait);
    return { kind: "stay" };
  }
  const resolution = await registry.resolve({ tag, signal, maxAgeMs: SAME_POLL_MS });
  if (resolution.kind === "pending") {
    emit({ type: "pending", tag, since: resolution.since });
    return undefined;
  }
  if (resolution.kind === "none" || resolution.release.tag !== tag) {
    const why = resolution.kind === "none" ? resolution.message : "the registry does not have it";
    const error = new NotFoundError(`Cannot deploy ${name} "${tag}": ${why}`);
    return { kind: "problem", error };
  }
  if ((await unfit(resolution, input)) !== undefined) return undefined;
  return gated({ kind: "deploy", candidate: resolution }, input);
}

function withProblem(choice: Verdict, problem: NotFoundError | undefined): Verdict {
  if (problem === undefined || choice.kind === "problem") return choice;
  const candidate = choice.kind === "deploy" ? choice.candidate : undefined;
  return { kind: "problem", error: problem, candidate };
}

interface Skipped {
  tag: string;
  /** Ends the search: the running version stays. */
  final: boolean;
  problem?: NotFoundError;
}

/** The newest version if it cannot or must not be deployed: pending, incomplete, bad or changed. */
async function skippedTag(resolution: Resolution, input: Search): Promise<Skipped | undefined> {
  const isLive = input.live !== undefined;
  if (resolution.kind === "pending") {
    const { tag, since } = resolution;
    input.emit({ type: "pending", tag, since });
    return { tag, final: isLive };
  }
  if (resolution.kind === "none") {
    const { reason, tag, message } = resolution;
    if (reason !== "artifact-missing" || tag === undefined) return undefined;
    return { tag, final: isLive, problem: new NotFoundError(message) };
  }
  const reason = await unfit(resolution, input);
  if (reason === undefined) return undefined;
  const { tag } = resolution.release;
  // If the live version is unknown, any version but the newest might be older.
  const isUnknown = isLive && input.running === undefined;
  return { tag, final: reason === "last" || isUnknown || tag === input.running?.tag };
}

/** Why a version is not deployed, which has been reported; after the last one, no other can follow. */
async function unfit(candidate: Candidate, input: Search): Promise<"next" | "last" | undefined> {
  const { state, policy, emit } = input;
  const { release, artifact } = candidate;
  const { tag } = release;
  const isAccepted =
    policy.acceptChanged.includes(tag) && !knownBytes(state, tag).some((one) => one.accepted);
  if (isAccepted) input.accepted.push(candidate);
  if (await isLiveAlready(candidate, input)) return undefined;
  const skipped = skipWait(tag, input);
  if (skipped !== undefined) {
    emit(skipped);
    return isLastSkipped(tag, input) ? "last" : "next";
  }
  const bad = state.bad.find((one) => one.tag === tag);
  if (bad !== undefined && (await isSameArtifact(bad, artifact, input))) {
    emit({ type: "known-bad", tag, reason: bad.reason });
    return "next";
  }
  if (isAccepted || !(await isChanged(candidate, input))) return mustWait(candidate, input);
  const acceptedBefore = policy.acceptChanged.includes(tag) || undefined;
  emit({ type: "bytes-changed", tag, artifact: artifact.name, acceptedBefore });
  return "next";
}

/** Whether everything that could follow is skipped as well, or older than the running version. */
function isLastSkipped(tag: string, { registry, running, state, policy }: Search): boolean {
  if (registry.exists === undefined) return false;
  if (!skippedBy(state, tag, policy.calver)?.andEarlier) return false;
  return running === undefined || compareTags(tag, running.tag, policy.calver) === -1;
}

function mustWait(candidate: Candidate, input: Search): "next" | undefined {
  const { tag } = candidate.release;
  const { minAgeMs } = input.policy;
  if (minAgeMs) input.seen.push(candidate);
  const wait = majorWait(tag, input) ?? (minAgeMs ? ageWait(candidate, input) : undefined);
  // A pause or a pin is the longer wait.
  if (wait === undefined || decisionWait(tag, input) !== undefined) return undefined;
  input.emit(wait);
  input.hasWaiting = true;
  return "next";
}

async function isLiveAlready(
  { release, artifact }: Candidate,
  input: ChoiceInput,
): Promise<boolean> {
  const { running } = input;
  if (running?.tag !== release.tag || running.artifact !== artifact.name) return false;
  return isSameArtifact(running, artifact, input);
}

async function isChanged({ release, artifact }: Candidate, input: ChoiceInput): Promise<boolean> {
  const known = knownBytes(input.state, release.tag);
  const last = known.findLast((one) => one.artifact === artifact.name);
  if (last !== undefined) return !(await isSameArtifact(last, artifact, input));
  const isNamed = (name: string): boolean =>
    matchesArtifact(input.policy.artifact, name, release.tag);
  const isNamedNow = isNamed(artifact.name) && !known.some((one) => isNamed(one.artifact));
  return known.length > 0 && !isNamedNow;
}

/** A new revision does not prove other bytes. The digest decides if the registry can compute it. */
export async function isSameArtifact(
  known: ByteIdentity,
  artifact: Artifact,
  { registry, signal }: Pick<ChoiceInput, "registry" | "signal">,
): Promise<boolean> {
  if (sameBytes(known, artifact)) return true;
  const isUncertain = known.digest !== undefined && artifact.digest === undefined;
  if (!isUncertain || registry.digest === undefined) return false;
  return sameBytes(known, { digest: await registry.digest(artifact, { signal }) });
}

async function judge(
  resolution: Resolution,
  input: Search,
  hasExcluded: boolean,
): Promise<Verdict> {
  const { running, emit } = input;
  if (resolution.kind === "none") {
    const { reason, message } = resolution;
    emit({ type: "nothing", reason, message });
    // Every excluded version was reported already.
    if (hasExcluded) return { kind: "stay" };
    return { kind: "problem", error: new NotFoundError(message) };
  }
  if (resolution.kind === "pending") return { kind: "stay" };
  const candidate: Candidate = resolution;
  const { release, artifact } = candidate;
  const { tag } = release;
  emit({ type: "resolved", tag, artifact: artifact.name, url: artifact.url });
  const { notes = [] } = resolution;
  if (running?.tag !== tag && notes.length > 0) {
    emit({ type: "artifact-chosen", tag, artifact: artifact.name, notes });
  }
  if (running === undefined) return { kind: "deploy", candidate };
  if (await isLiveAlready(candidate, input)) {
    emit({ type: "unchanged", tag });
    return { kind: "stay" };
  }
  // Other bytes of the live version were accepted, or another artifact of it was named.
  if (running.tag === tag) return { kind: "deploy", candidate };
  // Never a downgrade only because something newer waits.
  const isNewer = compareTags(tag, running.tag, input.policy.calver) === 1;
  if (input.hasWaiting && !isNewer) return { kind: "stay" };
  // A registry without `exists` has chosen by its own rules; its tags need not be versions.
  if (input.registry.exists === undefined) return { kind: "deploy", candidate };
  if (await isUpgrade(tag, running.tag, input.policy)) return { kind: "deploy", candidate };
  return judgeOlder(candidate, running, input);
}

/** Also true if the operator has changed the policy, and the running version is not allowed any more. */
async function isUpgrade(tag: string, running: string, policy: VersionPolicy): Promise<boolean> {
  const { calver } = policy;
  const [next = "", present = ""] = [tag, running].map((one) => versionOf(one, calver));
  const allowed = new NewestTag(policy, await compilePolicy(policy));
  allowed.offer(present);
  if (allowed.tag === undefined) return true;
  return compareVersions(next, present, { calver }) > 0;
}

/** Deploys an older version only if the registry confirms that the running version is gone. */
async function judgeOlder(
  candidate: Candidate,
  running: DeployedRelease,
  input: ChoiceInput,
): Promise<Verdict> {
  const { registry, signal, emit } = input;
  if ((await registry.exists?.(running.tag, { signal })) !== true)
    return { kind: "deploy", candidate };
  emit({
    type: "held",
    tag: candidate.release.tag,
    running: running.tag,
    reason: "the running version is newer and still published",
  });
  return { kind: "stay" };
}
