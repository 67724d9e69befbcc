import type { DewyError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import {
  type Choice,
  type ChoiceInput,
  chooseNamed,
  chooseVersion,
  type VersionPolicy,
} from "./choose.ts";
import { compareTags, withSeen } from "./decisions.ts";
import type { Candidate, DeployContext, FleetVerdict } from "./deployer.ts";
import type { FailedCandidates } from "./failed_candidates.ts";
import { switchWait, type Wait } from "./gate.ts";
import {
  hashOf,
  type Listing,
  listedBy,
  staleSince,
  watchListing,
  withListing,
} from "./listing.ts";
import { asDewyError, type PollOutcome } from "./loop.ts";
import { settle } from "./recover.ts";
import { bakeAndCommit, type MayGoOn, type Trial, takeOver } from "./sequence.ts";
import { acceptBytes, type DeployState, findBad, findRelease } from "./state.ts";
import { GivenUp } from "./switches.ts";

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
  /** Why it has failed. */
  failedWith?: string | undefined;
  /** The available versions that do not come by themselves, or not yet. */
  waiting?: readonly Wait[];
  isBaking?: true | undefined;
  /** Whether a deploy was given up because of an operator's command. */
  isGivenUp?: true;
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
  const watch = watchListing(context.registry);
  const now = context.clock.now();
  const waits: Wait[] = [];
  const emit: EventSink = (event) => {
    if (event.type === "known-bad" && isRollingBack(event.tag, state, context)) return;
    if (event.type === "waiting" && !waits.some(({ tag }) => tag === event.tag)) waits.push(event);
    context.emit(event);
  };
  const input = { registry: watch.registry, state, live, running, policy, now, emit, signal };
  const own = await chooseVersion(input);
  for (const candidate of own.accepted ?? []) await acceptCandidate(candidate, context);
  const found = { seen: own.seen, listing: watch.listing };
  const remembered = await remember(found, state, now, context);
  const staleFrom = staleSince(remembered, policy.maxStalenessMs, now);
  if (staleFrom !== undefined) {
    emit({ type: "listing-stale", since: staleFrom, maxMs: policy.maxStalenessMs ?? 0 });
  }
  const isBaking = (running !== undefined && state.switching?.to === live) || undefined;
  // An order changes what is live, and the next poll decides again.
  const isOrdered = state.order !== undefined && state.order.kind !== "restart";
  const choice = isOrdered ? own : await choiceOfFleet(own, input, { failed, context });
  const problem = choice.kind === "problem" ? choice.error : undefined;
  const waiting = waits.length === 0 ? undefined : waits;
  const unchanged: TickResult = { deployed: false, live: running?.tag, problem, waiting, isBaking };
  if (isOrdered || choice.kind === "stay" || choice.candidate === undefined) return unchanged;
  const candidate = { ...choice.candidate, ...listedBy(watch.listing?.tags, policy.calver) };
  const waitsUntil = failed.waitsUntil(candidate);
  if (waitsUntil !== undefined) {
    return { ...unchanged, waitsUntil, failedWith: failed.reasonOf(candidate) };
  }
  const { tag } = candidate.release;
  const failure = async (thrown: unknown): Promise<TickResult> => {
    const error = asDewyError(thrown);
    if (error.code === "aborted") throw error;
    return { ...unchanged, failure: await failureOf(candidate, error, context, failed) };
  };
  const finished = async (trial: Trial): Promise<TickResult | undefined> => {
    if ((await bakeAndCommit(trial, context, signal)) === "superseded") return undefined;
    failed.clear();
    return { deployed: true, live: tag, problem, waiting };
  };
  try {
    const mayGoOn = comesByItself(tag, { live, policy, emit }, context);
    const isAdmitted = isStillAdmitted(tag, input, context);
    const trial = await context.switches.overtakable(tag, signal, (either) =>
      takeOver(candidate, context, either, { mayGoOn, isAdmitted }),
    );
    const settled = finished(trial).catch(failure);
    if (later === undefined || context.deployer.bake === undefined) {
      return (await settled) ?? unchanged;
    }
    later(settled);
    return { deployed: false, live: tag, problem, waiting, isBaking: true };
  } catch (thrown) {
    if (thrown instanceof GivenUp) return { ...unchanged, waiting: waits, isGivenUp: true };
    return failure(thrown);
  }
}

/** What the fleet makes of a choice: the host may take it, has to wait, or takes another version instead. */
async function choiceOfFleet(
  own: Choice,
  input: ChoiceInput,
  { failed, context }: Pick<TickOptions, "failed"> & { context: DeployContext },
): Promise<Choice> {
  const candidate = own.kind === "stay" ? undefined : own.candidate;
  if (candidate === undefined || failed.waitsUntil(candidate) !== undefined) return own;
  const verdict = await askFleet(candidate.release.tag, input, context);
  if (verdict.kind === "go") return own;
  if (verdict.kind === "wait") {
    return own.kind === "problem" ? { ...own, candidate: undefined } : { kind: "stay" };
  }
  const instead = await chooseNamed(verdict.tag, "the version last rolled out", input);
  for (const accepted of instead.accepted ?? []) await acceptCandidate(accepted, context);
  return instead;
}

async function askFleet(
  tag: string,
  { state, running, live, emit, signal }: ChoiceInput,
  { fleet }: DeployContext,
): Promise<FleetVerdict> {
  // Other bytes of the running version and the version of an operator's pin concern this host alone.
  const isOwn = tag === running?.tag || tag === state.pinned?.tag;
  if (fleet === undefined || isOwn) return { kind: "go" };
  const verdict = await fleet.admit({ tag, running: running?.tag ?? live }, signal);
  if (verdict.kind !== "go") emit({ type: "waiting", tag, why: "fleet", reason: verdict.reason });
  return verdict;
}

/** The fleet's answer is as good as its age: a rollout may be halted while its version is downloaded. */
const ADMITTED_MS = 5_000;

function isStillAdmitted(
  tag: string,
  input: ChoiceInput,
  context: DeployContext,
): () => Promise<boolean> {
  const { clock } = context;
  let askedAt = clock.monotonic();
  return async () => {
    if (context.fleet === undefined || clock.monotonic() - askedAt < ADMITTED_MS) return true;
    const { kind } = await askFleet(tag, input, context);
    askedAt = clock.monotonic();
    return kind === "go";
  };
}

/** Asked again during the deploy of a poll, because an operator may have decided something meanwhile. */
function comesByItself(
  tag: string,
  chosen: { live: string | undefined; policy: VersionPolicy; emit: EventSink },
  { clock }: DeployContext,
): MayGoOn {
  const { policy } = chosen;
  return (state, live, hasBegun) => {
    const { order } = state;
    const isOrdered = order?.kind === "restart" || (order?.kind === "deploy" && order.tag === tag);
    if (order !== undefined && !isOrdered) return false;
    const running = findRelease(state, live)?.tag ?? "";
    const isNewer = compareTags(tag, running, policy.calver) === 1;
    if (live !== undefined && live !== chosen.live && !isNewer) return false;
    const wait = switchWait(tag, { state, live, policy, now: clock.now() }, hasBegun);
    if (wait !== undefined) chosen.emit(wait);
    return wait === undefined;
  };
}

async function remember(
  {
    seen = [],
    listing,
  }: { seen?: readonly Candidate[] | undefined; listing?: Listing | undefined },
  state: DeployState,
  now: number,
  { store }: DeployContext,
): Promise<DeployState> {
  const hash = listing && hashOf(listing);
  const withAll = (before: DeployState): DeployState =>
    seen.reduce(
      (next, { release, artifact }) => withSeen(next, release.tag, artifact, now),
      hash === undefined ? before : withListing(before, hash, now),
    );
  return withAll(state) === state ? state : store.update(withAll);
}

/** The failure of a version is reported only once its rollback is finished. */
function isRollingBack(tag: string, state: DeployState, { switches }: DeployContext): boolean {
  return state.releases.some((one) => one.tag === tag && switches.isUnderway(one.directory));
}

/** Records the accepted bytes, so that `--accept-changed` accepts no others. */
export async function acceptCandidate(
  { release, artifact }: Candidate,
  context: DeployContext,
): Promise<void> {
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
  const { failure, problem, waitsUntil, failedWith, waiting = [], isBaking, live } = result;
  if (failure !== undefined) return { kind: "failed", ...failure };
  if (problem !== undefined) return { kind: "problem", error: problem };
  if (waitsUntil !== undefined) return { kind: "waiting", retryAt: waitsUntil, failedWith };
  const held = waiting.length === 0 ? {} : { ...earliestEnd(waiting), isHolding: true as const };
  return { kind: isBaking || live === undefined ? "waiting" : "fine", ...held };
}

function earliestEnd(waiting: readonly Wait[]): { retryAt?: number } {
  const ends = waiting.flatMap(({ until }) => (until === undefined ? [] : [until.getTime()]));
  return ends.length === 0 ? {} : { retryAt: Math.min(...ends) };
}
