// Carries out the orders of operators. An order is on record before and until it is finished.
import { DeployError, faultOf, HostError, IntegrityError, NotFoundError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import type { Release } from "../core/types.ts";
import { parseVersion, versionOf } from "../version/version.ts";
import { isSameArtifact } from "./choose.ts";
import { compareTags } from "./decisions.ts";
import type { Candidate, DeployContext, Deployer, HookVariables } from "./deployer.ts";
import { beginRollback, commitRollback, operatorOf, withOrderDone } from "./order_state.ts";
import { newReport, sendReport, withReport } from "./reports.ts";
import { rollbackChoice } from "./rollback_plan.ts";
import {
  bakeAndCommit,
  removeOldReleases,
  rollBack,
  rollbackTarget,
  runAfterHook,
  stageVersion,
  type Trial,
  takeOver,
} from "./sequence.ts";
import {
  type DeployedRelease,
  type DeployOrder,
  findRelease,
  isBad,
  knownBytes,
  type PendingReport,
  type RollbackOrder,
  type StateStore,
  sameBytes,
} from "./state.ts";
import { acceptCandidate } from "./tick.ts";
import { isVerified } from "./trust.ts";

export interface OrderRun {
  context: DeployContext;
  /** Aborted when another order supersedes this one, and when dewy stops. */
  signal: AbortSignal;
  /** Aborted when dewy stops. */
  stop: AbortSignal;
  progress(text: string): void;
  /** Takes work that may outlast the order. It never rejects. */
  background(work: Promise<unknown>): void;
}

/**
 * Lets an earlier release serve again: nothing is downloaded, no hook runs before, and there is no bake, because it has
 * proven itself before. If it does not become ready, the version that served keeps serving.
 */
export async function carryOutRollback(order: RollbackOrder, run: OrderRun): Promise<void> {
  const { context, signal, stop } = run;
  const release = findRelease(await context.store.load(), order.directory);
  if (release === undefined) throw removed(order, context);
  const movedBack = await context.switches.exclusively(async () => {
    signal.throwIfAborted();
    return moveBack(release, order, run);
  });
  report(order, context);
  if (!movedBack.hasMoved) return;
  const variables: HookVariables = {
    tag: order.tag,
    previousTag: order.left,
    releaseDirectory: context.deployer.path(order.directory),
    command: context.command,
  };
  await runAfterHook(release, variables, context, stop);
  run.background(sendReport(movedBack.report, context, stop));
  run.background(removeOldReleases(context, stop));
}

interface MovedBack {
  /** False if the target was live all along, because another version was given up. */
  hasMoved: boolean;
  report?: PendingReport | undefined;
}

async function moveBack(
  release: DeployedRelease,
  order: RollbackOrder,
  run: OrderRun,
): Promise<MovedBack> {
  const { deployer, store, switches, emit } = run.context;
  const { directory, tag } = release;
  const live = await deployer.live();
  const { switching } = await store.load();
  if (live === directory && switching?.to !== directory) {
    await store.update((state) => withOrderDone(state, order, run.context));
    return { hasMoved: false };
  }
  if (!(await deployer.has(directory))) throw removed(order, run.context);
  const from = live === directory ? switching?.from : live;
  const leaving = [...switches.underway].filter((one) => one.directory !== directory);
  let settle = (_hasLeft: boolean): void => {};
  const left = new Promise<boolean>((resolve) => {
    settle = resolve;
  });
  for (const one of leaving) one.leaving = left;
  let hasLeft = false;
  try {
    await store.update((state) => beginRollback(state, order, from));
    await deployer.activate(release, run.signal);
    emit({ type: "activated", tag, directory: deployer.path(directory) });
    await deployer.takeBack?.(release, run.signal);
    const report = await commit(release, order, run);
    hasLeft = true;
    return { hasMoved: true, report };
  } catch (error) {
    throw await stay(release, { order, from, error }, run);
  } finally {
    settle(hasLeft);
    if (!hasLeft) for (const one of leaving) delete one.leaving;
  }
}

async function commit(
  release: DeployedRelease,
  order: RollbackOrder,
  { context }: OrderRun,
): Promise<PendingReport | undefined> {
  const { deployer, store, calver = "" } = context;
  const next = await rollbackChoice(await store.load(), order.tag, deployer.has, calver);
  const report = newReport(release, context);
  await store.update((state) =>
    withReport(commitRollback(state, order, next?.directory, context), report),
  );
  return report;
}

/** Lets the version that was to be left serve on. When dewy stops, the next start finishes the order instead. */
async function stay(
  release: DeployedRelease,
  { order, from, error }: { order: RollbackOrder; from: string | undefined; error: unknown },
  { context, signal, stop }: OrderRun,
): Promise<unknown> {
  if (stop.aborted) return error;
  const to = await rollbackTarget({ release, from }, context);
  const isBack = await rollBack(release, to, context, order);
  if (signal.aborted) return signal.reason;
  const serving = findRelease(await context.store.load(), to)?.tag;
  const now = isBack && serving !== undefined ? `; ${serving} keeps serving` : "";
  return new DeployError(
    "verify",
    `Cannot roll back to ${release.tag}: ${messageOf(error)}${now}`,
    {
      cause: error,
    },
  );
}

function report(order: RollbackOrder, { emit }: DeployContext): void {
  const { tag: to, left: tag = "", user, message } = order;
  const operator = operatorOf(order);
  const reason = message ?? `asked for by ${user}`;
  emit({ type: "rolled-back", tag, to, reason, operator });
}

function removed({ tag }: RollbackOrder, { deployer }: DeployContext): HostError {
  const hint = `dewy deploy ${tag} fetches it from the registry`;
  const where = deployer.path("");
  return new HostError(`Cannot roll back to ${tag}: it was removed from ${where}; ${hint}`, {
    retryable: false,
  });
}

/** How an order `deploy` ended; `note` is a remark for the operator. */
export interface DeployOutcome {
  isNew: boolean;
  note?: string | undefined;
}

/** The ordinary deploy of one version, with both hooks and the bake. */
export async function carryOutDeploy(order: DeployOrder, run: OrderRun): Promise<DeployOutcome> {
  const { context, signal } = run;
  const { store, deployer } = context;
  const found = await findVersion(order.tag, run);
  const live = findRelease(await store.load(), await deployer.live());
  if (live !== undefined && isSame(live, found)) {
    await store.update((state) => withOrderDone(state, order, context));
    return { isNew: false, note: found.note };
  }
  if (found.note !== undefined) run.progress(found.note);
  const { candidate, staged, note } = found;
  const trial = await takeOver(candidate, context, signal, {
    order,
    staged,
    background: run.background,
  });
  await finishDeploy(trial, run);
  return { isNew: true, note };
}

/** Waits until a version that serves has passed its bake. */
export async function finishDeploy(trial: Trial, run: OrderRun): Promise<void> {
  const { tag } = trial.release;
  const { bakeMs = 0 } = run.context.deployer;
  if (bakeMs > 0) run.progress(`${tag} serves; watching it for ${Math.ceil(bakeMs / 1000)} s`);
  const baked = bakeAndCommit(trial, run.context, run.stop);
  run.background(baked.catch(() => {}));
  if ((await untilAborted(baked, run.signal)) === "superseded") {
    throw new DeployError(
      "verify",
      `Cannot deploy ${tag}: another version took over during its bake`,
    );
  }
}

interface FoundVersion {
  candidate: Pick<Candidate, "release" | "artifact"> & Partial<Candidate>;
  staged?: DeployedRelease;
  note?: string;
}

function isSame(live: DeployedRelease, { candidate, staged }: FoundVersion): boolean {
  if (staged !== undefined) return live.directory === staged.directory;
  const { release, artifact } = candidate;
  return live.tag === release.tag && live.artifact === artifact.name && sameBytes(live, artifact);
}

/** Asks the registry. If it cannot answer, a complete release on this machine is as good. */
async function findVersion(
  tag: string,
  { context, signal }: Pick<OrderRun, "context" | "signal">,
): Promise<FoundVersion> {
  let candidate: Candidate;
  try {
    candidate = await resolveTag(tag, context, signal);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const canAnswer = error instanceof NotFoundError || faultOf(error) === "operator";
    const staged = canAnswer ? undefined : await releaseOnDisk(tag, context);
    if (staged === undefined || !(await mayServe(staged, context))) throw error;
    const note = `${tag} comes from this machine, because the registry did not answer`;
    return { candidate: candidateOf(staged, context.calver), staged, note };
  }
  await checkBytes(candidate, context, signal);
  return { candidate };
}

/** A version that has served here before does not have to be verified again. */
async function mayServe(
  staged: DeployedRelease,
  { store, verify }: DeployContext,
): Promise<boolean> {
  return staged.provenAt !== undefined || isVerified(staged, await store.load(), verify);
}

/** By a tag, an operator means the version that was here before. */
async function checkBytes(
  candidate: Candidate,
  context: DeployContext,
  signal: AbortSignal,
): Promise<void> {
  const { registry, store, acceptChanged = [] } = context;
  const { release, artifact } = candidate;
  const { tag } = release;
  const known = knownBytes(await store.load(), tag);
  const last = known.findLast((one) => one.artifact === artifact.name);
  if (last === undefined || (await isSameArtifact(last, artifact, { registry, signal }))) return;
  const accepted = known.some((one) => one.accepted);
  if (acceptChanged.includes(tag) && !accepted) return acceptCandidate(candidate, context);
  const restart = accepted
    ? `start dewy once without --accept-changed ${tag}, which has accepted other bytes`
    : `start dewy with --accept-changed ${tag} to deploy it`;
  throw new IntegrityError(
    `Cannot deploy ${tag}: ${artifact.name} has changed in the registry since this machine last ` +
      `had it; ${restart}${await rollbackHint(tag, context)}`,
    { retryable: false },
  );
}

async function rollbackHint(tag: string, context: DeployContext): Promise<string> {
  const { store, deployer, calver = "" } = context;
  const live = findRelease(await store.load(), await deployer.live())?.tag ?? tag;
  const isEarlier = live !== tag && compareTags(tag, live, calver) !== 1;
  if (!isEarlier || (await releaseOnDisk(tag, context)) === undefined) return "";
  return `; to go back to the one on this machine: dewy rollback ${tag}`;
}

/** Makes a version complete on this machine, without deploying it. */
export async function stageForOrder(
  tag: string,
  run: Pick<OrderRun, "context" | "signal">,
): Promise<{ note?: string }> {
  const { context, signal } = run;
  const found = await findVersion(tag, run);
  const live = findRelease(await context.store.load(), await context.deployer.live());
  const isThere = found.staged !== undefined || (live !== undefined && isSame(live, found));
  if (!isThere) await stageVersion(found.candidate, context, signal);
  return found.note === undefined ? {} : { note: found.note };
}

async function resolveTag(
  tag: string,
  context: DeployContext,
  signal: AbortSignal,
): Promise<Candidate> {
  const resolution = await context.registry.resolve({ tag, signal });
  if (resolution.kind === "ready" && resolution.release.tag === tag) return resolution;
  const hint = await rollbackHint(tag, context);
  if (resolution.kind === "ready") {
    const { tag: other } = resolution.release;
    throw new NotFoundError(`Cannot deploy ${tag}: the registry offers ${other} instead${hint}`);
  }
  const { message = `it has no artifact for this machine yet` } = resolution;
  throw new NotFoundError(`Cannot deploy ${tag}: ${message}${hint}`);
}

/** The live release comes first, so that nothing is done twice. */
export async function releaseOnDisk(
  tag: string,
  { store, deployer }: { store: StateStore; deployer: Pick<Deployer, "live" | "has"> },
): Promise<DeployedRelease | undefined> {
  const state = await store.load();
  const live = await deployer.live();
  const latestFirst = [...state.releases].reverse().filter((one) => one.tag === tag);
  const isLive = (one: DeployedRelease): boolean => one.directory === live;
  for (const release of [...latestFirst.filter(isLive), ...latestFirst]) {
    if (!isBad(state, release.directory) && (await deployer.has(release.directory))) return release;
  }
  return undefined;
}

function candidateOf(staged: DeployedRelease, calver = ""): FoundVersion["candidate"] {
  const { id, tag, artifact: name, digest, revision } = staged;
  const version: Release["version"] = parseVersion(versionOf(tag, calver), { calver }) ?? {
    original: tag,
    v: "",
    segments: [],
    preRelease: "",
    buildMetadata: "",
  };
  const identity = { ...(digest && { digest }), ...(revision && { revision }) };
  return { release: { id, tag, version }, artifact: { name, url: "", ...identity } };
}

/** Rejects with the signal's reason as soon as it is aborted; the work goes on. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
