import type { DewyError } from "../core/error.ts";
import { chooseVersion, type VersionPolicy } from "./choose.ts";
import type { Candidate, DeployIo } from "./deployer.ts";
import type { FailedCandidates } from "./failed_candidates.ts";
import { asDewyError, type RoundOutcome } from "./loop.ts";
import { settle } from "./recover.ts";
import { deploy } from "./sequence.ts";
import { acceptBytes, findBad, findRelease } from "./state.ts";

/** How one look at the registry ended. */
export interface TickResult {
  /** Whether a version was deployed. */
  deployed: boolean;
  /** The tag that is live now. */
  live: string | undefined;
  /** What is wrong although nothing failed: no version, or no artifact of the newest. */
  problem?: DewyError;
  /** The version that should have been deployed. */
  failure?: Failure;
  /** When a version that failed before is tried again, in milliseconds since the epoch. */
  waitsUntil?: number;
}

/** A deploy that failed. */
export interface Failure {
  tag: string;
  error: DewyError;
  /** When it is tried again, in milliseconds since the epoch; `undefined`: not before something changes. */
  retryAt: number | undefined;
}

/**
 * One look at the registry, and a deploy when there is something to deploy.
 *
 * @param policy what the operator allows.
 * @param io the world.
 * @param signal ends it.
 * @param failed the versions that have to wait; this look adds to them.
 * @returns what is live now, and what is wrong.
 * @throws DewyError when the registry cannot be asked, or the signal ended it.
 */
export async function tick(
  policy: VersionPolicy,
  io: DeployIo,
  signal: AbortSignal,
  failed: FailedCandidates,
): Promise<TickResult> {
  await settle(io, signal);
  const state = await io.store.load();
  const live = await io.deployer.live();
  const running = findRelease(state, live);
  const { registry, emit } = io;
  const choice = await chooseVersion({ registry, state, live, running, policy, emit, signal });
  for (const candidate of choice.accepted ?? []) await accept(candidate, io);
  const stays: TickResult = {
    deployed: false,
    live: running?.tag,
    ...(choice.kind === "problem" ? { problem: choice.error } : {}),
  };
  if (choice.kind === "stay" || choice.candidate === undefined) return stays;
  const waitsUntil = failed.waitsUntil(choice.candidate);
  if (waitsUntil !== undefined) return { ...stays, waitsUntil };
  try {
    const release = await deploy(choice.candidate, io, signal);
    failed.clear();
    return { ...stays, deployed: true, live: release.tag };
  } catch (thrown) {
    const error = asDewyError(thrown);
    if (error.code === "aborted") throw error;
    return { ...stays, failure: await failureOf(choice.candidate, error, io, failed) };
  }
}

/** Remembers the accepted bytes, so that the flag accepts no others. */
async function accept({ release, artifact }: Candidate, io: DeployIo): Promise<void> {
  const { tag } = release;
  await io.store.save(acceptBytes(await io.store.load(), tag, artifact));
  const identity = artifact.digest ?? artifact.revision ?? "";
  const fields = { tag, artifact: artifact.name, identity };
  io.emit({ type: "warning", message: "Artifact accepted by --accept-changed", fields });
}

async function failureOf(
  candidate: Candidate,
  error: DewyError,
  io: DeployIo,
  failed: FailedCandidates,
): Promise<Failure> {
  const { tag } = candidate.release;
  // It was live and did not prove itself.
  const isBad = findBad(await io.store.load(), tag, candidate.artifact) !== undefined;
  return { tag, error, retryAt: isBad ? undefined : failed.add(candidate, error) };
}

/**
 * What a look means for the polling.
 *
 * @param result how it ended.
 * @returns the outcome of the round.
 */
export function roundOutcome({ failure, problem, waitsUntil }: TickResult): RoundOutcome {
  if (failure !== undefined) return { kind: "failed", ...failure };
  if (problem !== undefined) return { kind: "problem", error: problem };
  return waitsUntil === undefined ? { kind: "fine" } : { kind: "waiting", retryAt: waitsUntil };
}
