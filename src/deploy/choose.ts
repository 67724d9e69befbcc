/**
 * What to do about the registry's answer: deploy, stay, or wait. Nothing here changes anything.
 *
 * @module
 */
import { matchesArtifact } from "../core/artifact_pattern.ts";
import { NotFoundError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { SAME_POLL_MS } from "../core/resolve.ts";
import type { ReadyResolution, Registry, Resolution } from "../core/types.ts";
import { compareVersions, latestTag, versionOf } from "../core/version.ts";
import type { Candidate } from "./deployer.ts";
import { type DeployedRelease, type DeployState, findBad, sameBytes } from "./state.ts";

/** What the operator allows, as the registry URL and the flags say it. */
export interface VersionPolicy {
  preRelease: boolean;
  calver: string;
  constraint: string;
  slot: string;
  /** The artifact's name, or a pattern for it; empty when it is chosen by platform. */
  artifact: string;
}

/** What {@link chooseVersion} looks at. */
export interface ChoiceInput {
  registry: Registry;
  state: DeployState;
  /** The release that is live. */
  running: DeployedRelease | undefined;
  policy: VersionPolicy;
  emit: EventSink;
  signal: AbortSignal;
}

/** What is to be done now. */
export type Choice =
  | { kind: "deploy"; candidate: Candidate }
  | { kind: "stay" }
  /** Nothing can be deployed and that is a failure worth reporting, though the running version stays. */
  | { kind: "problem"; error: NotFoundError; candidate?: Candidate };

/** More rounds than bad versions are remembered: ends a registry that ignores `exclude`. */
const MAX_ROUNDS = 150;

/**
 * Asks the registry and decides.
 *
 * @param input the registry, the memory and the policy.
 * @returns what to do.
 * @throws DewyError when the registry cannot be asked.
 */
export async function chooseVersion(input: ChoiceInput): Promise<Choice> {
  const exclude: string[] = [];
  let problem: NotFoundError | undefined;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const maxAge = round === 0 ? {} : { maxAgeMs: SAME_POLL_MS };
    const resolution = await input.registry.current({ exclude, signal: input.signal, ...maxAge });
    const skipped = skippedTag(resolution, input);
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

function withProblem(choice: Choice, problem: NotFoundError | undefined): Choice {
  if (problem === undefined || choice.kind === "problem") return choice;
  return choice.kind === "deploy"
    ? { kind: "problem", error: problem, candidate: choice.candidate }
    : { kind: "problem", error: problem };
}

interface Skipped {
  tag: string;
  /** Look no further: what runs stays. */
  final: boolean;
  problem?: NotFoundError;
}

/** A version that is the newest but cannot or must not be deployed: pending, incomplete, or known to be bad. */
function skippedTag(resolution: Resolution, input: ChoiceInput): Skipped | undefined {
  const isRunning = input.running !== undefined;
  if (resolution.kind === "pending") {
    const { tag, since } = resolution;
    input.emit({ type: "pending", tag, ...(since === undefined ? {} : { since }) });
    return { tag, final: isRunning };
  }
  if (resolution.kind === "none") {
    if (resolution.reason !== "artifact-missing" || resolution.tag === undefined) return undefined;
    return {
      tag: resolution.tag,
      final: isRunning,
      problem: new NotFoundError(resolution.message),
    };
  }
  const { tag } = resolution.release;
  if (tag === input.running?.tag) return undefined;
  const bad = findBad(input.state, tag, resolution.artifact);
  if (bad === undefined) return undefined;
  input.emit({ type: "known-bad", tag, reason: bad.reason });
  return { tag, final: false };
}

async function judge(
  resolution: Resolution,
  input: ChoiceInput,
  hasExcluded: boolean,
): Promise<Choice> {
  if (resolution.kind === "none") return judgeNothing(resolution, input, hasExcluded);
  if (resolution.kind === "pending") return { kind: "stay" };
  const { running } = input;
  const candidate: Candidate = resolution;
  input.emit({
    type: "resolved",
    tag: candidate.release.tag,
    artifact: candidate.artifact.name,
    url: candidate.artifact.url,
  });
  if (running?.tag !== candidate.release.tag) emitNotes(resolution, input.emit);
  if (running === undefined) return { kind: "deploy", candidate };
  if (running.tag === candidate.release.tag) return judgeSameTag(candidate, running, input);
  // A registry that cannot be asked for a tag has chosen by itself; its tags need not even be versions.
  if (input.registry.exists === undefined) return { kind: "deploy", candidate };
  if (isUpgrade(candidate.release.tag, running.tag, input.policy)) {
    return { kind: "deploy", candidate };
  }
  return judgeOlder(candidate, running, input);
}

function emitNotes({ release, artifact, notes = [] }: ReadyResolution, emit: EventSink): void {
  if (notes.length === 0) return;
  emit({ type: "artifact-chosen", tag: release.tag, artifact: artifact.name, notes });
}

function judgeNothing(
  resolution: Extract<Resolution, { kind: "none" }>,
  input: ChoiceInput,
  hasExcluded: boolean,
): Choice {
  input.emit({ type: "nothing", reason: resolution.reason, message: resolution.message });
  // With versions excluded, "nothing is left" is what was to be expected, and was told already.
  if (hasExcluded) return { kind: "stay" };
  return { kind: "problem", error: new NotFoundError(resolution.message) };
}

function judgeSameTag(candidate: Candidate, running: DeployedRelease, input: ChoiceInput): Choice {
  const { release, artifact } = candidate;
  const isNamed = ({ name }: { name: string }): boolean =>
    matchesArtifact(input.policy.artifact, name, release.tag);
  if (isNamed(artifact) && !isNamed({ name: running.artifact })) {
    return { kind: "deploy", candidate }; // the operator names another artifact than the live one
  }
  if (running.artifact !== artifact.name || !sameBytes(running, artifact)) {
    input.emit({ type: "bytes-changed", tag: release.tag, artifact: artifact.name });
    return { kind: "stay" };
  }
  input.emit({ type: "unchanged", tag: release.tag });
  return { kind: "stay" };
}

/** Also when the policy no longer admits what runs: then the operator has changed it, and it decides. */
function isUpgrade(tag: string, running: string, policy: VersionPolicy): boolean {
  const { preRelease, calver, constraint, slot } = policy;
  const [next = "", present = ""] = [tag, running].map((one) => versionOf(one, calver));
  if (latestTag([present], { preRelease, calver, constraint, slot }) === undefined) return true;
  return compareVersions(next, present, { calver }) > 0;
}

/** An older version is deployed only when the registry says to the face that the running one is gone. */
async function judgeOlder(
  candidate: Candidate,
  running: DeployedRelease,
  input: ChoiceInput,
): Promise<Choice> {
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
