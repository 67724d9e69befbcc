/**
 * The deploy, visible in two functions: {@link takeOver} until a version serves, {@link bakeAndCommit}
 * until it counts as deployed.
 *
 * @module
 */
import { DeployError, type DeployPhase, DewyError, faultOf, HostError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import { bestEffort, untilStopped } from "./best_effort.ts";
import { withHighest } from "./decisions.ts";
import type { BakeOutcome, Candidate, DeployContext, HookVariables, Staged } from "./deployer.ts";
import { operatorOf, withOrderDone, withoutOrder } from "./order_state.ts";
import { newReport, reportDeploy, sendReport, withReport } from "./reports.ts";
import {
  type AcceptedTag,
  beginSwitch,
  cancelSwitch,
  commitSwitch,
  type DeployedRelease,
  type DeployOrder,
  type DeployState,
  deployedRelease,
  findRelease,
  isBad,
  markBad,
  type Order,
  type PendingReport,
  retention,
  sameBytes,
  type TrustedSigner,
  wayBack,
  withoutAfterHook,
  withoutBad,
  withoutReleases,
  withRelease,
} from "./state.ts";
import { GivenUp, type Underway } from "./switches.ts";
import { isVerified, newlyTrusted, verificationOf, withTrust } from "./trust.ts";

/** A release that serves and still has to pass its bake; `startedAt` is when its deploy began. */
export interface Trial extends Cause {
  release: DeployedRelease;
  variables: HookVariables;
  startedAt: number;
  underway: Underway;
}

interface Cause {
  /** The operator's order that asks for it; absent for an automatic deploy. */
  order?: DeployOrder | undefined;
  /** Takes the work after the deploy, for which an operator need not wait. */
  background?: ((work: Promise<unknown>) => void) | undefined;
}

export interface TakeOverOptions extends Cause {
  /** A complete release of the version, used instead of staging it. */
  staged?: DeployedRelease | undefined;
  mayGoOn?: MayGoOn | undefined;
  /** Asked when the version is staged, and just before the switch. If not, the deploy is given up. */
  isAdmitted?: (() => Promise<boolean>) | undefined;
}

interface Switch extends Cause {
  release: DeployedRelease;
  /** The directory that was live before and still serves. */
  from: string | undefined;
}

/** Asked before the before-deploy hook, and just before `current` moves: the deploy has then begun. */
export type MayGoOn = (state: DeployState, live: string | undefined, hasBegun: boolean) => boolean;

/**
 * Stages, activates and verifies a version. Once it is live, the signal affects only `verify`. If it
 * throws a DeployError, the previous release keeps running.
 */
export async function takeOver(
  candidate: Pick<Candidate, "release" | "artifact">,
  context: DeployContext,
  signal: AbortSignal,
  options: TakeOverOptions = {},
): Promise<Trial> {
  const startedAt = context.clock.now();
  const { order, staged, mayGoOn, isAdmitted, background } = options;
  const { tag } = candidate.release;
  const phase = <T>(name: DeployPhase, work: () => Promise<T>): Promise<T> =>
    inPhase(name, tag, context, work);
  try {
    const release = staged ?? (await phase("stage", () => stage(candidate, context, signal)));
    await checkpoint(tag, { context, mayGoOn, hasBegun: false });
    if ((await isAdmitted?.()) === false) throw givenUp(tag);
    const planned = await hookVariables(release, context);
    await phase("before", () => runBeforeHook(planned, context, signal));
    // A crash loop may have changed the rollback target while the hook ran.
    const variables = await hookVariables(release, context);
    if ((await isAdmitted?.()) === false) throw givenUp(tag);
    const underway = await switchTo(release, context, signal, options);
    return { release, variables, startedAt, underway, order, background };
  } catch (error) {
    const reason = signal.aborted ? signal.reason : error;
    if (isOvertaken(reason)) context.emit({ type: "given-up", tag, reason: reason.message });
    if (error instanceof GivenUp) await removeOldReleases(context, signal);
    else if (!signal.aborted) await cleanUp(candidate.release, error, context, signal);
    throw error;
  }
}

/** Whether an operator's command has ended a deploy. */
function isOvertaken(reason: unknown): reason is DewyError {
  if (reason instanceof GivenUp) return true;
  return reason instanceof DeployError && reason.fault === "operator";
}

interface Checkpoint {
  context: DeployContext;
  mayGoOn: MayGoOn | undefined;
  hasBegun: boolean;
}

async function checkpoint(tag: string, { context, mayGoOn, hasBegun }: Checkpoint): Promise<void> {
  const { store, deployer } = context;
  if (mayGoOn === undefined) return;
  if (!mayGoOn(await store.load(), await deployer.live(), hasBegun)) throw givenUp(tag);
}

function givenUp(tag: string): GivenUp {
  return new GivenUp(`The deploy of ${tag} was given up; the next poll decides again`);
}

/**
 * Bakes and commits a version, then takes the steps that may fail without harm. A version that is
 * superseded during its bake has neither failed nor been deployed.
 */
export async function bakeAndCommit(
  trial: Trial,
  context: DeployContext,
  signal: AbortSignal,
): Promise<BakeOutcome> {
  const { release, underway, order } = trial;
  const { tag, directory } = release;
  const leave = (): void => context.switches.leave(underway);
  let report: PendingReport | undefined;
  let trusted: readonly TrustedSigner[] = [];
  let accepted: AcceptedTag | undefined;
  try {
    const outcome = await bake(release, context, signal);
    if (outcome === "superseded" || (await underway.leaving)) {
      leave();
      const live = await context.deployer.live();
      const by = findRelease(await context.store.load(), live)?.tag ?? "";
      context.emit({ type: "superseded", tag, by });
      await removeOldReleases(context, signal);
      return "superseded";
    }
    report = newReport(release, context);
    const commit = (): Promise<unknown> =>
      context.store.update((state) => {
        const now = context.clock.now();
        const committed = withTrust(commitSwitch(state, directory, now), directory, now);
        trusted = newlyTrusted(state, committed);
        accepted = state.accepted?.find((one) => one.tag === tag);
        const reported = withReport(committed, report);
        return order === undefined
          ? withHighest(reported, tag, context.calver ?? "")
          : withOrderDone(reported, order, context);
      });
    await inPhase("commit", tag, context, commit);
  } catch (error) {
    await rollBackServing({ release, underway, order }, error, context, signal).finally(leave);
    if (!signal.aborted) await cleanUp(release, error, context, signal);
    throw error;
  }
  const operator = accepted && operatorOf(accepted);
  for (const { signer: identity } of trusted) {
    context.emit({ type: "signer-trusted", tag, identity, operator });
  }
  await finish(trial, report, context, signal).finally(leave);
  return "proven";
}

async function finish(
  { release, variables, startedAt, order, background }: Trial,
  report: PendingReport | undefined,
  context: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  await runAfterHook(release, variables, context, signal);
  context.emit({
    type: "deployed",
    command: context.command,
    tag: release.tag,
    previousTag: variables.previousTag,
    directory: variables.releaseDirectory,
    durationMs: context.clock.now() - startedAt,
    operator: order && operatorOf(order),
  });
  const rest = async (): Promise<void> => {
    await sendReport(report, context, signal);
    await removeOldReleases(context, signal);
  };
  if (background === undefined) await rest();
  else background(rest());
}

async function cleanUp(
  release: { id: string; tag: string },
  error: unknown,
  context: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  await reportDeploy(release, messageOf(error), context, signal);
  await removeOldReleases(context, signal);
}

/** How long retries use a release that explicit rules have verified, before it is verified again. */
const REUSABLE_MS = 3_600_000;

/** Stages a version without deploying it. */
export function stageVersion(
  candidate: Pick<Candidate, "release" | "artifact">,
  context: DeployContext,
  signal: AbortSignal,
): Promise<DeployedRelease> {
  const { tag } = candidate.release;
  return inPhase("stage", tag, context, () => stage(candidate, context, signal));
}

async function stage(
  candidate: Pick<Candidate, "release" | "artifact">,
  { store, deployer, clock, verify: policy }: DeployContext,
  signal: AbortSignal,
): Promise<DeployedRelease> {
  const state = await store.load();
  const live = await deployer.live();
  const { release, artifact } = candidate;
  const known = state.releases.findLast(
    (one) =>
      one.tag === release.tag &&
      one.artifact === artifact.name &&
      one.directory !== live &&
      sameBytes(one, artifact) &&
      isVerified(one, state, policy) &&
      // Keys may have been replaced since.
      (policy?.mode !== "rules" || clock.now() - Date.parse(one.stagedAt) < REUSABLE_MS),
  );
  // Without any identity of the bytes, an earlier directory may contain others.
  const isIdentified = artifact.digest !== undefined || artifact.revision !== undefined;
  if (known !== undefined && isIdentified && (await deployer.has(known.directory))) return known;
  const now = clock.now();
  const recordOf = (made: Staged): DeployedRelease => {
    const identified = { ...artifact, digest: artifact.digest ?? made.digest };
    const record = deployedRelease(release, identified, made.directory, now);
    return { ...record, verified: verificationOf(policy, { digest: artifact.digest, ...made }) };
  };
  const staged = await deployer.stage(candidate, signal, async (made) => {
    await store.update((latest) => withRelease(latest, recordOf(made)));
  });
  return recordOf(staged);
}

/** The previous tag is that of the rollback target. */
export async function hookVariables(
  release: DeployedRelease,
  { deployer, store, command }: DeployContext,
): Promise<HookVariables> {
  const live = await deployer.live();
  const state = await store.load();
  return {
    tag: release.tag,
    previousTag: findRelease(state, wayBack(state, live))?.tag,
    releaseDirectory: deployer.path(release.directory),
    command,
  };
}

async function runBeforeHook(
  variables: HookVariables,
  context: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  const result = await context.runHook("before", variables, signal);
  if (result === undefined) return;
  context.emit({ type: "hook", tag: variables.tag, result });
  if (result.exitCode === 0) return;
  const end = result.timedOut ? "took too long" : `exited with exit code ${result.exitCode}`;
  throw new DeployError("before", `the before-deploy hook ${end}`);
}

/** The state records the hook until it has ended, so that an interrupted hook runs again. */
export async function runAfterHook(
  { directory }: DeployedRelease,
  variables: HookVariables,
  context: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  const { tag } = variables;
  await bestEffort(context, "run the after-deploy hook", async () => {
    try {
      const result = await context.runHook("after", variables, signal);
      if (result !== undefined) context.emit({ type: "hook", tag, result });
    } catch (error) {
      if (!signal.aborted) throw error;
      const message = "After-deploy hook postponed to the next start";
      context.emit({ type: "warning", message, fields: { tag } });
      return;
    }
    await context.store.update((state) => withoutAfterHook(state, directory));
  });
}

async function switchTo(
  release: DeployedRelease,
  context: DeployContext,
  signal: AbortSignal,
  { order, mayGoOn }: TakeOverOptions,
): Promise<Underway> {
  const { tag, directory } = release;
  const { deployer, store, switches, emit } = context;
  const change = async (either: AbortSignal): Promise<Underway> => {
    either.throwIfAborted();
    const from = await deployer.live();
    await inPhase("activate", tag, context, async () => {
      if (!(await deployer.has(directory)))
        throw new HostError(`${deployer.path(directory)} was removed in the meantime`);
      await store.update((state) => {
        if (mayGoOn?.(state, from, true) === false) throw givenUp(tag);
        return beginSwitch(order === undefined ? state : withoutBad(state, tag), directory, from);
      });
      try {
        await deployer.activate(release, either);
      } catch (error) {
        await rollBack(release, await rollbackTarget({ release, from }, context), context, order);
        throw error;
      }
    });
    emit({ type: "activated", tag, directory: deployer.path(directory) });
    return verify({ release, from, order }, context, either);
  };
  // The failure of another version does not overrule an operator.
  if (order !== undefined) return switches.exclusively(() => change(signal));
  return switches.attempt(signal, change);
}

/**
 * Waits until the live release serves; it is then under way until {@link bakeAndCommit} has ended. A
 * release that does not serve is rolled back, and marked bad if the fault is its own.
 */
export async function verify(
  change: Switch,
  context: DeployContext,
  signal: AbortSignal,
): Promise<Underway> {
  const { release } = change;
  try {
    await inPhase("verify", release.tag, context, () => context.deployer.verify(release, signal));
    const underway = { directory: release.directory };
    context.switches.underway.add(underway);
    return underway;
  } catch (error) {
    await markFailed(change, error, context, signal);
    const to = await rollbackTarget(change, context);
    const failed = signal.aborted ? undefined : change.order;
    if (await rollBack(release, to, context, failed)) {
      await reportRollback(release, { to, error }, context, signal);
    }
    throw error;
  }
}

/** The directory to restore after a failed switch: the previous one, if it is proven or still baking. */
export async function rollbackTarget(
  { release, from }: Omit<Switch, "order">,
  { store, switches }: DeployContext,
): Promise<string | undefined> {
  const state = await store.load();
  const isGood = from === state.switching?.from || switches.isUnderway(from);
  const mayServe = from !== undefined && isGood && !isBad(state, from);
  return mayServe ? from : wayBack(state, release.directory);
}

async function bake(
  release: DeployedRelease,
  context: DeployContext,
  signal: AbortSignal,
): Promise<BakeOutcome> {
  const { deployer } = context;
  if (deployer.bake === undefined) return "proven";
  const watched = deployer.bake(release, signal);
  return inPhase("bake", release.tag, context, () => watched);
}

/** Rolls back a release that failed while it served, even while a newer release is getting ready. */
async function rollBackServing(
  { release, underway, order }: Pick<Trial, "release" | "underway" | "order">,
  error: unknown,
  context: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  const { deployer, store, switches } = context;
  // First, so that the newer release's attempt, aborted next, does not roll back to this release.
  await markFailed({ release, order }, error, context, signal);
  if (await underway.leaving) return;
  await switches.urgently(`${release.tag} failed`, async () => {
    const live = await deployer.live();
    const state = await store.load();
    const isLive = live === release.directory;
    if (!isLive && state.switching?.to === live) return; // A newer release serves.
    const to = isLive ? wayBack(state, live) : live;
    if (isLive && !(await rollBack(release, to, context, order))) return;
    await reportRollback(release, { to, error }, context, signal);
  });
}

async function markFailed(
  { release, order }: Pick<Trial, "release" | "order">,
  error: unknown,
  context: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted || faultOf(error) !== "release") return;
  await bestEffort(context, "remember the bad version", async () => {
    const now = context.clock.now();
    await context.store.update((state) =>
      withoutOrder(markBad(state, release, messageOf(error), now), order),
    );
  });
}

/**
 * If it fails, the switch stays on record, and `settle` retries the rollback. An order that failed with the switch is
 * done.
 */
export async function rollBack(
  { tag }: DeployedRelease,
  to: string | undefined,
  context: DeployContext,
  failed?: Order,
): Promise<boolean> {
  const { deployer, store, switches, emit } = context;
  try {
    await deployer.restore(to);
  } catch (error) {
    const message = "Cannot roll back to the previous version; the next poll tries again";
    const fields = { tag, error: messageOf(error) };
    emit({ type: "warning", important: true, message, fields });
    return false;
  }
  await bestEffort(context, "clear the switch that was rolled back", async () => {
    await store.update((state) =>
      withoutOrder(cancelSwitch(state, to, switches.isUnderway(to)), failed),
    );
  });
  return true;
}

async function reportRollback(
  { tag }: DeployedRelease,
  { to: directory, error }: { to: string | undefined; error: unknown },
  { store, emit }: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  const reason = messageOf(error);
  const to = findRelease(await store.load(), directory)?.tag ?? directory;
  if (!signal.aborted && faultOf(error) === "release" && to !== undefined) {
    emit({ type: "rolled-back", tag, to, reason });
    return;
  }
  if (signal.aborted && isOvertaken(signal.reason)) return; // takeOver reports it.
  const isPreempted = signal.aborted && signal.reason instanceof DeployError;
  const message = isPreempted
    ? "Deploy aborted; it will be retried"
    : signal.aborted
      ? "Deploy aborted: dewy is stopping"
      : to === undefined
        ? "Deploy undone, no version is live"
        : "Version rolled back";
  const fields = {
    tag,
    ...(to === undefined ? {} : { to }),
    ...(isPreempted ? { reason } : {}),
  };
  emit({ type: "warning", message, fields });
}

/** At most `most` releases without a record stay, such as another deployer's. */
export async function removeOldReleases(
  context: DeployContext,
  signal: AbortSignal,
  most: number = Number.POSITIVE_INFINITY,
): Promise<void> {
  await bestEffort(context, "remove old releases", () =>
    untilStopped(prune(context, most), context, signal),
  );
}

async function prune(context: DeployContext, most: number): Promise<void> {
  const { deployer, store, switches, emit } = context;
  await switches.exclusively(async () => {
    const removed = await deployer.prune(async () => {
      const { keep, others } = retention(await store.load(), await deployer.live());
      return { keep, others: Math.min(others, most) };
    });
    if (removed.length === 0) return;
    await store.update((state) => withoutReleases(state, removed));
    emit({ type: "pruned", directories: removed });
  });
}

async function inPhase<T>(
  phase: DeployPhase | "bake",
  tag: string,
  { clock, emit }: DeployContext,
  work: () => Promise<T>,
): Promise<T> {
  const startedAt = clock.now();
  emit({ type: "phase-started", phase, tag });
  try {
    const result = await work();
    emit({ type: "phase", phase, tag, durationMs: clock.now() - startedAt });
    return result;
  } catch (cause) {
    const error = phaseError(phase, tag, cause);
    emit({ type: "phase-failed", phase, tag, error, durationMs: clock.now() - startedAt });
    throw error;
  }
}

/** A version that fails in its bake has failed to verify. */
function phaseError(phase: DeployPhase | "bake", tag: string, cause: unknown): DewyError {
  const failed = phase === "bake" ? "verify" : phase;
  if (cause instanceof DewyError && cause.code === "aborted") return cause;
  const { retryable = false, code } = cause instanceof DewyError ? cause : {};
  return new DeployError(failed, `Cannot deploy ${tag}: ${messageOf(cause)}`, {
    cause,
    retryable,
    // It has not failed: it was not tried.
    ...(code === "unverified" && { code }),
  });
}
