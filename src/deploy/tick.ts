import type { DewyError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { chooseVersion, type VersionPolicy } from "./choose.ts";
import type { Candidate, DeployContext } from "./deployer.ts";
import type { FailedCandidates } from "./failed_candidates.ts";
import { asDewyError, type PollOutcome } from "./loop.ts";
import { overtakenBy } from "./order_state.ts";
import { settle } from "./recover.ts";
import { bakeAndCommit, type Trial, takeOver } from "./sequence.ts";
import { acceptBytes, type DeployState, findBad, findRelease } from "./state.ts";
import { OvertakenError } from "./switches.ts";

export interface TickOptions {
  policy: VersionPolicy;
  failed: FailedCandidates;
  later?: Later | undefined;
}

/**
 * Receives a deploy whose version is still baking; it resolves with `undefined` if a newer version
 * has superseded it. Without it, the tick waits for the end of the bake.
 */
export type Later = (settled: Promise<TickResult | undefined>) => void;

export interface TickResult {
  deployed: boolean;
  live: string | undefined;
  /** Set if nothing failed, but there is no version, or no artifact of the newest version. */
  problem?: DewyError;
  failure?: Failure;
  /** When a version that has failed before is retried, in milliseconds since the epoch. */
  waitsUntil?: number;
  isBaking?: true | undefined;
  /** Whether the deploy was given up because of an operator's command. */
  isOvertaken?: true;
}

interface Failure {
  tag: string;
  error: DewyError;
  /** Milliseconds since the epoch; `undefined` if only a change triggers a retry. */
  retryAt: number | undefined;
}

export async function tick(
  { policy, failed, later }: TickOptions,
  context: DeployContext,
  signal: AbortSignal,
): Promise<TickResult> {
  await settle(context, signal);
  // In this order: a version that fails is marked bad before it stops being live.
  const live = await context.deployer.live();
  const state = await context.store.load();
  const running = findRelease(state, live);
  const { registry } = context;
  const emit: EventSink = (event) => {
    if (event.type === "known-bad" && isRollingBack(event.tag, state, context)) return;
    context.emit(event);
  };
  const choice = await chooseVersion({ registry, state, live, running, policy, emit, signal });
  for (const candidate of choice.accepted ?? []) await accept(candidate, context);
  const problem = choice.kind === "problem" ? choice.error : undefined;
  const isBaking = (running !== undefined && state.switching?.to === live) || undefined;
  const unchanged: TickResult = { deployed: false, live: running?.tag, problem, isBaking };
  if (choice.kind === "stay" || choice.candidate === undefined) return unchanged;
  const { candidate } = choice;
  // An operator's order comes first.
  if (overtakenBy(await context.store.load(), candidate.release.tag, policy.calver) !== undefined)
    return { ...unchanged, isOvertaken: true };
  const waitsUntil = failed.waitsUntil(candidate);
  if (waitsUntil !== undefined) return { ...unchanged, waitsUntil };
  const { tag } = candidate.release;
  const failure = async (thrown: unknown): Promise<TickResult> => {
    const error = asDewyError(thrown);
    if (error.code === "aborted") throw error;
    return { ...unchanged, failure: await failureOf(candidate, error, context, failed) };
  };
  const finished = async (trial: Trial): Promise<TickResult | undefined> => {
    if ((await bakeAndCommit(trial, context, signal)) === "superseded") return undefined;
    failed.clear();
    return { deployed: true, live: tag, problem };
  };
  try {
    const trial = await context.switches.overtakable(tag, signal, (either) =>
      takeOver(candidate, context, either, {
        overtakenBy: (latest) => overtakenBy(latest, tag, policy.calver),
      }),
    );
    const settled = finished(trial).catch(failure);
    if (later === undefined || context.deployer.bake === undefined) {
      return (await settled) ?? unchanged;
    }
    later(settled);
    return { deployed: false, live: tag, problem, isBaking: true };
  } catch (thrown) {
    if (thrown instanceof OvertakenError) return { ...unchanged, isOvertaken: true };
    return failure(thrown);
  }
}

/** The failure of a version is reported only once its rollback is finished. */
function isRollingBack(tag: string, state: DeployState, { switches }: DeployContext): boolean {
  return state.releases.some((one) => one.tag === tag && switches.isUnderway(one.directory));
}

/** Records the accepted bytes, so that `--accept-changed` accepts no others. */
async function accept({ release, artifact }: Candidate, context: DeployContext): Promise<void> {
  const { tag } = release;
  await context.store.update((state) => acceptBytes(state, tag, artifact));
  const identity = artifact.digest ?? artifact.revision ?? "";
  const fields = { tag, artifact: artifact.name, identity };
  context.emit({ type: "warning", message: "Artifact accepted by --accept-changed", fields });
}

async function failureOf(
  candidate: Candidate,
  error: DewyError,
  { store }: DeployContext,
  failed: FailedCandidates,
): Promise<Failure> {
  const { tag } = candidate.release;
  const isBad = findBad(await store.load(), tag, candidate.artifact) !== undefined;
  return { tag, error, retryAt: isBad ? undefined : failed.add(candidate, error) };
}

export function pollOutcome(result: TickResult): PollOutcome {
  const { failure, problem, waitsUntil, isBaking, live } = result;
  if (failure !== undefined) return { kind: "failed", ...failure };
  if (problem !== undefined) return { kind: "problem", error: problem };
  if (waitsUntil !== undefined) return { kind: "waiting", retryAt: waitsUntil };
  return isBaking || live === undefined ? { kind: "waiting" } : { kind: "fine" };
}
