/**
 * The deploy, visible in two functions: until a version serves, and until it counts as deployed. Every phase is timed, tells its event, and wraps its failure with
 * its name.
 *
 * @module
 */
import { DeployError, type DeployPhase, DewyError, faultOf, HostError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import type { BakeOutcome, Candidate, DeployIo, HookContext } from "./deployer.ts";
import {
  beginSwitch,
  cancelSwitch,
  commitSwitch,
  type DeployedRelease,
  deployedRelease,
  findRelease,
  isBad,
  markBad,
  sameBytes,
  wayBack,
  withoutReleases,
  withRelease,
} from "./state.ts";

/** How long the best-effort steps after a deploy may take together with the signal's own end. */
const REPORT_TIMEOUT_MS = 60_000;

/** A release that serves and still has to pass its bake. */
export interface Trial {
  release: DeployedRelease;
  context: HookContext;
  /** When the deploy began, in milliseconds since the epoch. */
  startedAt: number;
}

/**
 * Deploys one version: stage, before hook, activate, verify, bake, commit, then everything that may fail
 * without harm.
 *
 * @param candidate the version.
 * @param io the world.
 * @param signal ends it; once the version is live, only `verify` and the bake still listen.
 * @returns the release that is live now.
 * @throws DeployError naming the phase; what ran before runs on.
 */
export async function deploy(
  candidate: Candidate,
  io: DeployIo,
  signal: AbortSignal,
): Promise<DeployedRelease> {
  const trial = await takeOver(candidate, io, signal);
  await prove(trial, io, signal);
  return trial.release;
}

/** The first half of {@link deploy}: stage, before hook, activate, verify. From then on the version serves. */
export async function takeOver(
  candidate: Candidate,
  io: DeployIo,
  signal: AbortSignal,
): Promise<Trial> {
  const startedAt = io.clock.now();
  const { tag } = candidate.release;
  const phase = <T>(name: DeployPhase, work: () => Promise<T>): Promise<T> =>
    inPhase(name, tag, io, work);
  try {
    const release = await phase("stage", () => stage(candidate, io, signal));
    const context = await hookContext(release, io);
    await phase("before", () => runBeforeHook(context, io, signal));
    await switchTo(release, io, signal);
    return { release, context, startedAt };
  } catch (error) {
    if (!signal.aborted) await reportFailure(candidate.release, error, io);
    throw error;
  }
}

/**
 * The second half of {@link deploy}: bake, commit, then everything that may fail without harm. A version that is superseded
 * during its bake has neither failed nor been deployed.
 */
export async function prove(trial: Trial, io: DeployIo, signal: AbortSignal): Promise<BakeOutcome> {
  const { release, context, startedAt } = trial;
  const { tag, directory } = release;
  const phase = <T>(name: DeployPhase, work: () => Promise<T>): Promise<T> =>
    inPhase(name, tag, io, work);
  try {
    const outcome = await bake(release, io, signal);
    if (outcome === "superseded") {
      const live = await io.deployer.live();
      const by = findRelease(await io.store.load(), live)?.tag ?? "";
      io.emit({ type: "superseded", tag, by });
      await bestEffort(io, "remove old releases", () => prune(io));
      return outcome;
    }
    await phase("commit", () => io.store.update((state) => commitSwitch(state, directory)));
  } catch (error) {
    await takeBack(release, error, io, signal);
    if (!signal.aborted) await reportFailure(release, error, io);
    throw error;
  }
  await finish(release, context, io, startedAt, signal);
  return "proven";
}

/**
 * The end of a deploy, from a live and committed release on: best effort, each step reported, none fatal.
 *
 * @param release what is live.
 * @param context what the hooks are told.
 * @param io the world.
 * @param startedAt when the deploy began, in milliseconds since the epoch.
 * @param signal ends the after hook.
 */
export async function finish(
  release: DeployedRelease,
  context: HookContext,
  io: DeployIo,
  startedAt: number,
  signal: AbortSignal,
): Promise<void> {
  await bestEffort(io, "run the after-deploy hook", () => runAfterHook(context, io, signal));
  io.emit({
    type: "deployed",
    command: io.command,
    tag: release.tag,
    previousTag: context.previousTag,
    directory: context.releaseDirectory,
    durationMs: io.clock.now() - startedAt,
  });
  await bestEffort(io, "leave an audit record", () => report(release, undefined, io));
  await bestEffort(io, "remove old releases", () => prune(io));
}

async function stage(
  candidate: Candidate,
  io: DeployIo,
  signal: AbortSignal,
): Promise<DeployedRelease> {
  const state = await io.store.load();
  const live = await io.deployer.live();
  const staged = state.releases.findLast(
    (release) =>
      release.tag === candidate.release.tag &&
      release.artifact === candidate.artifact.name &&
      release.directory !== live &&
      isStated(candidate.artifact) &&
      sameBytes(release, candidate.artifact),
  );
  if (staged !== undefined && (await io.deployer.has(staged.directory))) return staged;
  const directory = await io.deployer.stage(candidate, signal);
  const release = deployedRelease(candidate.release, candidate.artifact, directory, io.clock.now());
  await io.store.update((latest) => withRelease(latest, release));
  return release;
}

/** Without any identity of the bytes, an earlier directory may hold others. */
function isStated(artifact: { digest?: string; revision?: string }): boolean {
  return artifact.digest !== undefined || artifact.revision !== undefined;
}

/**
 * What the hooks are told of a deploy.
 *
 * @param release the release that is being deployed.
 * @param io the world.
 * @returns the context; the previous tag is that of the release to go back to.
 */
export async function hookContext(release: DeployedRelease, io: DeployIo): Promise<HookContext> {
  const live = await io.deployer.live();
  const state = await io.store.load();
  return {
    tag: release.tag,
    previousTag: findRelease(state, wayBack(state, live))?.tag,
    releaseDirectory: io.deployer.path(release.directory),
    command: io.command,
  };
}

async function runBeforeHook(
  context: HookContext,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  const result = await io.runHook("before", context, signal);
  if (result === undefined) return;
  io.emit({ type: "hook", tag: context.tag, result });
  if (result.exitCode !== 0) {
    throw new DeployError(
      "before",
      `the before-deploy hook ${result.timedOut ? "took too long" : `ended with exit code ${result.exitCode}`}`,
    );
  }
}

async function runAfterHook(
  context: HookContext,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  const result = await io.runHook("after", context, signal);
  if (result !== undefined) io.emit({ type: "hook", tag: context.tag, result });
}

async function switchTo(
  release: DeployedRelease,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  const { tag, directory } = release;
  await io.switches.attempt(signal, async (either) => {
    const before = await io.deployer.live();
    await inPhase("activate", tag, io, async () => {
      if (!(await io.deployer.has(directory)))
        throw new HostError(`${io.deployer.path(directory)} was removed in the meantime`);
      await io.store.update((state) => beginSwitch(state, directory, before));
      try {
        await io.deployer.activate(release, either);
      } catch (error) {
        await goBack(before, io);
        throw error;
      }
    });
    io.emit({ type: "activated", tag, directory: io.deployer.path(directory) });
    await verify(release, before, io, either);
  });
}

/**
 * Waits until the live release serves. One that does not is taken back, and marked as bad if that is its own fault.
 *
 * @param release what is live.
 * @param before the directory that was live before and still serves, if there is one.
 * @param io the world.
 * @param signal ends it, without a verdict.
 * @throws DeployError of the phase `verify`.
 */
export async function verify(
  release: DeployedRelease,
  before: string | undefined,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  try {
    await inPhase("verify", release.tag, io, () => io.deployer.verify(release, signal));
  } catch (error) {
    await blame(release, error, io, signal);
    const state = await io.store.load();
    const mayServe = before !== undefined && !isBad(state, before);
    const to = mayServe ? before : wayBack(state, release.directory);
    await goBack(to, io);
    await tellTakenBack(release, to, error, io, signal);
    throw error;
  }
}

async function bake(
  release: DeployedRelease,
  io: DeployIo,
  signal: AbortSignal,
): Promise<BakeOutcome> {
  const { deployer } = io;
  if (deployer.bake === undefined) return "proven";
  const watched = deployer.bake(release, signal);
  return inPhase("verify", release.tag, io, () => watched);
}

/** Takes back a release that failed while it served, without waiting for a newer one that is getting ready. */
async function takeBack(
  release: DeployedRelease,
  error: unknown,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  // Before that attempt is given up, so that it does not go back to this release.
  await blame(release, error, io, signal);
  await io.switches.urgently(`${release.tag} failed`, async () => {
    const live = await io.deployer.live();
    const state = await io.store.load();
    const isLive = live === release.directory;
    if (!isLive && state.switching?.to === live) return; // a newer one serves
    const to = isLive ? wayBack(state, live) : live;
    if (isLive) await goBack(to, io);
    await tellTakenBack(release, to, error, io, signal);
  });
}

/** Marks a release as bad, unless something else is at fault or the deploy is being given up. */
async function blame(
  release: DeployedRelease,
  error: unknown,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted || faultOf(error) !== "release") return;
  await bestEffort(io, "remember the version as bad", async () => {
    const now = io.clock.now();
    await io.store.update((state) => markBad(state, release, messageOf(error), now));
  });
}

async function goBack(to: string | undefined, io: DeployIo): Promise<void> {
  await io.deployer.restore(to);
  await bestEffort(io, "remember the undone switch", async () => {
    await io.store.update((state) => cancelSwitch(state, to));
  });
}

async function tellTakenBack(
  { tag }: DeployedRelease,
  to: string | undefined,
  error: unknown,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  const back = findRelease(await io.store.load(), to)?.tag ?? to;
  const reason = messageOf(error);
  if (!signal.aborted) {
    io.emit({ type: "rolled-back", tag, to: back, reason });
    return;
  }
  const isForNow = signal.reason instanceof DeployError;
  const message = isForNow
    ? "The deploy was given up and will be retried"
    : "The deploy was given up: dewy ends";
  const fields = {
    tag,
    ...(back === undefined ? {} : { to: back }),
    ...(isForNow ? { reason } : {}),
  };
  io.emit({ type: "warning", message, fields });
}

/** Keeps every release that may have to serve again. */
async function prune(io: DeployIo): Promise<void> {
  await io.switches.exclusively(async () => {
    const { previous, switching } = await io.store.load();
    const keep = [await io.deployer.live(), previous, switching?.to, switching?.from];
    const removed = await io.deployer.prune(
      new Set(keep.filter((directory) => directory !== undefined)),
    );
    if (removed.length === 0) return;
    await io.store.update((state) => withoutReleases(state, removed));
    io.emit({ type: "pruned", directories: removed });
  });
}

async function report(
  release: { id: string; tag: string },
  error: string | undefined,
  io: DeployIo,
): Promise<void> {
  if (io.registry.report === undefined) return;
  await io.registry.report(
    {
      id: release.id,
      tag: release.tag,
      command: io.command,
      host: io.host,
      at: new Date(io.clock.now()),
      ...(error === undefined ? {} : { error }),
    },
    { signal: AbortSignal.timeout(REPORT_TIMEOUT_MS) },
  );
  if (error === undefined) io.emit({ type: "reported", tag: release.tag });
}

async function reportFailure(
  release: { id: string; tag: string },
  error: unknown,
  io: DeployIo,
): Promise<void> {
  await bestEffort(io, "report the failed deploy", () => report(release, messageOf(error), io));
}

async function inPhase<T>(
  phase: DeployPhase,
  tag: string,
  io: DeployIo,
  work: () => Promise<T>,
): Promise<T> {
  const startedAt = io.clock.now();
  try {
    const result = await work();
    io.emit({ type: "phase", phase, tag, durationMs: io.clock.now() - startedAt });
    return result;
  } catch (error) {
    if (error instanceof DewyError && error.code === "aborted") throw error;
    throw new DeployError(phase, `Cannot deploy ${tag}: ${phase} failed: ${messageOf(error)}`, {
      cause: error,
      retryable: error instanceof DewyError ? error.retryable : false,
    });
  }
}

async function bestEffort(io: DeployIo, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    io.emit({ type: "warning", message: `Cannot ${what}`, fields: { error: messageOf(error) } });
  }
}
