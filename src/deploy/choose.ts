import { NotFoundError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import type { Artifact, Registry, Resolution } from "../core/types.ts";
import { matchesArtifact } from "../platform/artifact_pattern.ts";
import { SAME_POLL_MS } from "../resolve/resolve.ts";
import { latestTag } from "../version/latest_tag.ts";
import { compareVersions, versionOf } from "../version/version.ts";
import type { Candidate } from "./deployer.ts";
import {
  type ByteIdentity,
  type DeployedRelease,
  type DeployState,
  knownBytes,
  sameBytes,
} from "./state.ts";

export interface VersionPolicy {
  preRelease: boolean;
  calver: string;
  constraint: string;
  slot: string;
  /** The artifact's name, or a pattern for it; empty if it is chosen by platform. */
  artifact: string;
  /** Tags whose bytes may differ from the known ones once. */
  acceptChanged: readonly string[];
  /** Forbids the downgrades that a deleted release or a registry's own choice causes. Defaults to false. */
  noDowngrade?: boolean;
  /** The age in milliseconds that a version must have. Defaults to 0. */
  minAgeMs?: number;
  /** When the next deploy window opens, in milliseconds since the epoch; `undefined` if it is open. Defaults to open. */
  opensAt?: (now: number) => number | undefined;
}

interface ChoiceInput {
  registry: Registry;
  state: DeployState;
  live: string | undefined;
  running: DeployedRelease | undefined;
  policy: VersionPolicy;
  emit: EventSink;
  signal: AbortSignal;
}

type Choice = Verdict & {
  /** Candidates that `acceptChanged` has accepted. They must be saved before anything else is done. */
  accepted?: readonly Candidate[];
};

type Verdict =
  | { kind: "deploy"; candidate: Candidate }
  | { kind: "stay" }
  /** No version, or not the newest, can be deployed. That is reported as a failure. */
  | { kind: "problem"; error: NotFoundError; candidate?: Candidate };

/** More than the recorded bad versions: a registry may ignore `exclude`. */
const MAX_ROUNDS = 150;

export async function chooseVersion(input: ChoiceInput): Promise<Choice> {
  const accepted: Candidate[] = [];
  const verdict = await choose({ ...input, accepted });
  return accepted.length === 0 ? verdict : { ...verdict, accepted };
}

type Search = ChoiceInput & { accepted: Candidate[] };

async function choose(input: Search): Promise<Verdict> {
  const exclude: string[] = [];
  let problem: NotFoundError | undefined;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const maxAge = round === 0 ? {} : { maxAgeMs: SAME_POLL_MS };
    const resolution = await input.registry.resolve({ exclude, signal: input.signal, ...maxAge });
    const skipped = await skippedTag(resolution, input);
    if (skipped === undefined) {
      return withProblem(await judge(resolution, input, exclude.length > 0), problem);
    }
    if (skipped.problem !== undefined) problem ??= skipped.problem;
    if (skipped.final || exclude.includes(skipped.tag))
      return withProblem({ kind: "stay" }, problem);
    exclude.push(skipped.tag);
  }
  return withProblem({ kind: "stay" }, problem);
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
  if (await isFit(resolution, input)) return undefined;
  const { tag } = resolution.release;
  // If the live version is unknown, any version but the newest might be older.
  const isUnknown = isLive && input.running === undefined;
  return { tag, final: isUnknown || tag === input.running?.tag };
}

async function isFit(candidate: Candidate, input: Search): Promise<boolean> {
  const { state, policy, emit } = input;
  const { release, artifact } = candidate;
  const { tag } = release;
  const isAccepted =
    policy.acceptChanged.includes(tag) && !knownBytes(state, tag).some((one) => one.accepted);
  if (isAccepted) input.accepted.push(candidate);
  if (await isLiveAlready(candidate, input)) return true;
  const bad = state.bad.find((one) => one.tag === tag);
  if (bad !== undefined && (await isSame(bad, artifact, input))) {
    emit({ type: "known-bad", tag, reason: bad.reason });
    return false;
  }
  if (isAccepted || !(await isChanged(candidate, input))) return true;
  const acceptedBefore = policy.acceptChanged.includes(tag) || undefined;
  emit({ type: "bytes-changed", tag, artifact: artifact.name, acceptedBefore });
  return false;
}

async function isLiveAlready(
  { release, artifact }: Candidate,
  input: ChoiceInput,
): Promise<boolean> {
  const { running } = input;
  if (running?.tag !== release.tag || running.artifact !== artifact.name) return false;
  return isSame(running, artifact, input);
}

async function isChanged({ release, artifact }: Candidate, input: ChoiceInput): Promise<boolean> {
  const known = knownBytes(input.state, release.tag);
  const last = known.findLast((one) => one.artifact === artifact.name);
  if (last !== undefined) return !(await isSame(last, artifact, input));
  const isNamed = (name: string): boolean =>
    matchesArtifact(input.policy.artifact, name, release.tag);
  const isNamedNow = isNamed(artifact.name) && !known.some((one) => isNamed(one.artifact));
  return known.length > 0 && !isNamedNow;
}

/** A new revision does not prove other bytes. The digest decides if the registry can compute it. */
async function isSame(
  known: ByteIdentity,
  artifact: Artifact,
  { registry, signal }: ChoiceInput,
): Promise<boolean> {
  if (sameBytes(known, artifact)) return true;
  const isUncertain = known.digest !== undefined && artifact.digest === undefined;
  if (!isUncertain || registry.digest === undefined) return false;
  return sameBytes(known, { digest: await registry.digest(artifact, { signal }) });
}

async function judge(
  resolution: Resolution,
  input: ChoiceInput,
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
  // A registry without `exists` has chosen by its own rules; its tags need not be versions.
  if (input.registry.exists === undefined) return { kind: "deploy", candidate };
  if (isUpgrade(tag, running.tag, input.policy)) return { kind: "deploy", candidate };
  return judgeOlder(candidate, running, input);
}

/** Also true if the operator has changed the policy, and the running version is not allowed any more. */
function isUpgrade(tag: string, running: string, policy: VersionPolicy): boolean {
  const { preRelease, calver, constraint, slot } = policy;
  const [next = "", present = ""] = [tag, running].map((one) => versionOf(one, calver));
  if (latestTag([present], { preRelease, calver, constraint, slot }) === undefined) return true;
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
