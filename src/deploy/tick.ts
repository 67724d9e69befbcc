import type { DewyError } from "../core/error.ts";
import { chooseVersion, type VersionPolicy } from "./choose.ts";
import type { Candidate, DeployIo } from "./deployer.ts";
import type { FailedCandidates } from "./failed_candidates.ts";
import { asDewyError, type RoundOutcome } from "./loop.ts";
import { settle } from "./recover.ts";
import { prove, type Trial, takeOver } from "./sequence.ts";
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
  /** Whether the live version is still baking. */
  isOnProbation?: true;
}

/**
 * Receives a deploy whose version is still baking.
 *
 * @param settled resolves with its result, or with `undefined` if a newer version superseded it.
 */
export type Later = (settled: Promise<TickResult | undefined>) => void;

/** A deploy that failed. */
export interface Failure {
  tag: string;
  error: DewyError;
  /** When it is tried again, in milliseconds since the epoch; `undefined`: not before something changes. */
  retryAt: number | undefined;
}

/**
 * One look at the registry, and a deploy if there is something to deploy. The bake may outlast the look.
 *
 * @param policy what the operator allows.
 * @param io the world.
 * @param signal ends it.
 * @param failed the versions that have to wait; this look adds to them.
 * @param later receives a deploy whose version is still baking. Absent: the look waits for the end of the bake.
 * @returns what is live now, and what is wrong.
 * @throws DewyError when the registry cannot be asked, or the signal ended it.
 */
export async function tick(
  policy: VersionPolicy,
  io: DeployIo,
  signal: AbortSignal,
  failed: FailedCandidates,
  later?: Later,
): Promise<TickResult> {
  await settle(io, signal);
  // In this order: a version that fails is marked as bad before it stops being live.
  const live = await io.deployer.live();
  const state = await io.store.load();
  const running = findRelease(state, live);
  const { registry, emit } = io;
  const choice = await chooseVersion({ registry, state, live, running, policy, emit, signal });
  for (const candidate of choice.accepted ?? []) await accept(candidate, io);
  const problem = choice.kind === "problem" ? { problem: choice.error } : {};
  const stays: TickResult = {
    deployed: false,
    live: running?.tag,
    ...problem,
    ...(running !== undefined && state.switching?.to === live ? { isOnProbation: true } : {}),
  };
  if (choice.kind === "stay" || choice.candidate === undefined) return stays;
  const { candidate } = choice;
  const waitsUntil = failed.waitsUntil(candidate);
  if (waitsUntil !== undefined) return { ...stays, waitsUntil };
  const { tag } = candidate.release;
  const failure = async (thrown: unknown): Promise<TickResult> => {
    const error = asDewyError(thrown);
    if (error.code === "aborted") throw error;
    return { ...stays, failure: await failureOf(candidate, error, io, failed) };
  };
  const finished = async (trial: Trial): Promise<TickResult | undefined> => {
    if ((await prove(trial, io, signal)) === "superseded") return undefined;
    failed.clear();
    return { deployed: true, live: tag, ...problem };
  };
  try {
    const trial = await takeOver(candidate, io, signal);
    const settled = finished(trial).catch(failure);
    if (later === undefined || io.deployer.bake === undefined) return (await settled) ?? stays;
    later(settled);
    return { deployed: false, live: tag, ...problem, isOnProbation: true };
  } catch (thrown) {
    return failure(thrown);
  }
}

/** Remembers the accepted bytes, so that the flag accepts no others. */
async function accept({ release, artifact }: Candidate, io: DeployIo): Promise<void> {
  const { tag } = release;
  await io.store.update((state) => acceptBytes(state, tag, artifact));
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
export function roundOutcome(result: TickResult): RoundOutcome {
  const { failure, problem, waitsUntil, isOnProbation } = result;
  if (failure !== undefined) return { kind: "failed", ...failure };
  if (problem !== undefined) return { kind: "problem", error: problem };
  if (waitsUntil !== undefined) return { kind: "waiting", retryAt: waitsUntil };
  return isOnProbation ? { kind: "waiting" } : { kind: "fine" };
}
