/**
 * The deploy, visible in two functions: until a version serves, and until it counts as deployed. Every phase is timed,
 * emits its event, and wraps its failure with its name.
 *
 * @module
 */
import {
  AbortedError,
  DeployError,
  type DeployPhase,
  DewyError,
  faultOf,
  HostError,
} from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import type { BakeOutcome, Candidate, DeployIo, HookVariables, Staged } from "./deployer.ts";
import {
  beginSwitch,
  cancelSwitch,
  commitSwitch,
  type DeployedRelease,
  deployedRelease,
  findRelease,
  isBad,
  markBad,
  retention,
  sameBytes,
  wayBack,
  withoutAfterHook,
  withoutReleases,
  withRelease,
} from "./state.ts";
import type { Underway } from "./switches.ts";

const REPORT_TIMEOUT_MS = 60_000;
/** How long a best-effort step can still take once dewy is stopping. */
const STOP_GRACE_MS = 5_000;

/** A release that serves and still has to pass its bake. */
export interface Trial {
  release: DeployedRelease;
  context: HookVariables;
  /** When the deploy began, in milliseconds since the epoch. */
  startedAt: number;
  underway: Underway;
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
    const planned = await hookContext(release, io);
    await phase("before", () => runBeforeHook(planned, io, signal));
    // A crash loop may have changed the way back while the hook ran.
    const context = await hookContext(release, io);
    const underway = await switchTo(release, io, signal);
    return { release, context, startedAt, underway };
  } catch (error) {
    if (!signal.aborted) await cleanUp(candidate.release, error, io, signal);
    throw error;
  }
}

/**
 * The second half of {@link deploy}: bake, commit, then everything that may fail without harm. A version that is superseded
 * during its bake has neither failed nor been deployed.
 */
export async function prove(trial: Trial, io: DeployIo, signal: AbortSignal): Promise<BakeOutcome> {
  try {
    return await bakeAndFinish(trial, io, signal);
  } finally {
    io.switches.underway.delete(trial.underway);
  }
}

async function bakeAndFinish(
  { release, context, startedAt, underway }: Trial,
  io: DeployIo,
  signal: AbortSignal,
): Promise<BakeOutcome> {
  const { tag, directory } = release;
  try {
    const outcome = await bake(release, io, signal);
    if (outcome === "superseded") {
      io.switches.underway.delete(underway);
      const live = await io.deployer.live();
      const by = findRelease(await io.store.load(), live)?.tag ?? "";
      io.emit({ type: "superseded", tag, by });
      await removeOldReleases(io, signal);
      return outcome;
    }
    const commit = (): Promise<unknown> =>
      io.store.update((state) => commitSwitch(state, directory));
    await inPhase("commit", tag, io, commit);
  } catch (error) {
    await takeBack(release, error, io, signal);
    io.switches.underway.delete(underway);
    if (!signal.aborted) await cleanUp(release, error, io, signal);
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
  context: HookVariables,
  io: DeployIo,
  startedAt: number,
  signal: AbortSignal,
): Promise<void> {
  await runAfterHook(release, context, io, signal);
  io.emit({
    type: "deployed",
    command: io.command,
    tag: release.tag,
    previousTag: context.previousTag,
    directory: context.releaseDirectory,
    durationMs: io.clock.now() - startedAt,
  });
  await reportBestEffort("leave an audit record", release, undefined, io, signal);
  await removeOldReleases(io, signal);
}

/** What a failed deploy leaves to do. */
async function cleanUp(
  release: { id: string; tag: string },
  error: unknown,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  await reportBestEffort("report the failed deploy", release, messageOf(error), io, signal);
  await removeOldReleases(io, signal);
}

async function stage(
  candidate: Candidate,
  io: DeployIo,
  signal: AbortSignal,
): Promise<DeployedRelease> {
  const state = await io.store.load();
  const live = await io.deployer.live();
  const known = state.releases.findLast(
    (release) =>
      release.tag === candidate.release.tag &&
      release.artifact === candidate.artifact.name &&
      release.directory !== live &&
      isStated(candidate.artifact) &&
      sameBytes(release, candidate.artifact),
  );
  if (known !== undefined && (await io.deployer.has(known.directory))) return known;
  const now = io.clock.now();
  const { release, artifact } = candidate;
  const recordOf = ({ directory, digest }: Staged): DeployedRelease => {
    const identified = { ...(digest === undefined ? {} : { digest }), ...artifact };
    return deployedRelease(release, identified, directory, now);
  };
  const staged = await io.deployer.stage(candidate, signal, async (made) => {
    await io.store.update((latest) => withRelease(latest, recordOf(made)));
  });
  return recordOf(staged);
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
export async function hookContext(release: DeployedRelease, io: DeployIo): Promise<HookVariables> {
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
  context: HookVariables,
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

/** Runs the after-deploy hook. The state remembers it until it has ended, so that one cut short runs again. */
export async function runAfterHook(
  { directory }: DeployedRelease,
  context: HookVariables,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  await bestEffort(io, "run the after-deploy hook", async () => {
    try {
      const result = await io.runHook("after", context, signal);
      if (result !== undefined) io.emit({ type: "hook", tag: context.tag, result });
    } catch (error) {
      if (!signal.aborted) throw error;
      const fields = { tag: context.tag };
      io.emit({ type: "warning", message: "After-deploy hook left to the next start", fields });
      return;
    }
    await io.store.update((state) => withoutAfterHook(state, directory));
  });
}

async function switchTo(
  release: DeployedRelease,
  io: DeployIo,
  signal: AbortSignal,
): Promise<Underway> {
  const { tag, directory } = release;
  return io.switches.attempt(signal, async (either) => {
    const before = await io.deployer.live();
    await inPhase("activate", tag, io, async () => {
      if (!(await io.deployer.has(directory)))
        throw new HostError(`${io.deployer.path(directory)} was removed in the meantime`);
      await io.store.update((state) => beginSwitch(state, directory, before));
      try {
        await io.deployer.activate(release, either);
      } catch (error) {
        await goBack(tag, await backTo(release, before, io), io);
        throw error;
      }
    });
    io.emit({ type: "activated", tag, directory: io.deployer.path(directory) });
    return verify(release, before, io, either);
  });
}

/**
 * Waits until the live release serves; it is then under way, until {@link prove} has ended. One that does not serve is taken
 * back, and marked as bad if that is its own fault.
 *
 * @param release what is live.
 * @param before the directory that was live before and still serves, if there is one.
 * @param io the parts of the deploy.
 * @param signal ends it, without a verdict.
 * @throws DeployError of the phase `verify`.
 */
export async function verify(
  release: DeployedRelease,
  before: string | undefined,
  io: DeployIo,
  signal: AbortSignal,
): Promise<Underway> {
  try {
    await inPhase("verify", release.tag, io, () => io.deployer.verify(release, signal));
    const underway = { directory: release.directory };
    io.switches.underway.add(underway);
    return underway;
  } catch (error) {
    await blame(release, error, io, signal);
    const to = await backTo(release, before, io);
    if (await goBack(release.tag, to, io)) await tellTakenBack(release, to, error, io, signal);
    throw error;
  }
}

/** The directory to go back to after a failed switch: the one that was live, if that is good or baking. */
async function backTo(
  release: DeployedRelease,
  before: string | undefined,
  io: DeployIo,
): Promise<string | undefined> {
  const state = await io.store.load();
  const isGood = before === state.switching?.from || io.switches.isUnderway(before);
  const mayServe = before !== undefined && isGood && !isBad(state, before);
  return mayServe ? before : wayBack(state, release.directory);
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
    if (isLive && !(await goBack(release.tag, to, io))) return;
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
  await bestEffort(io, "remember the bad version", async () => {
    const now = io.clock.now();
    await io.store.update((state) => markBad(state, release, messageOf(error), now));
  });
}

/** Returns whether it succeeded; if not, the switch stays on record, and `settle` tries again. */
async function goBack(tag: string, to: string | undefined, io: DeployIo): Promise<boolean> {
  try {
    await io.deployer.restore(to);
  } catch (error) {
    const message = "Cannot go back to the previous version; the next poll tries again";
    const fields = { tag, error: messageOf(error) };
    io.emit({ type: "warning", important: true, message, fields });
    return false;
  }
  await bestEffort(io, "forget the switch that was taken back", async () => {
    await io.store.update((state) => cancelSwitch(state, to, io.switches.isUnderway(to)));
  });
  return true;
}

async function tellTakenBack(
  release: DeployedRelease,
  back: string | undefined,
  error: unknown,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  const { tag } = release;
  const reason = messageOf(error);
  const to = findRelease(await io.store.load(), back)?.tag ?? back;
  if (!signal.aborted && faultOf(error) === "release" && to !== undefined) {
    io.emit({ type: "rolled-back", tag, to, reason });
    return;
  }
  const isForNow = signal.aborted && signal.reason instanceof DeployError;
  const message = isForNow
    ? "The deploy was given up and will be retried"
    : signal.aborted
      ? "The deploy was given up: dewy ends"
      : "Version taken back";
  const fields = {
    tag,
    ...(to === undefined ? {} : { to }),
    ...(isForNow ? { reason } : {}),
  };
  io.emit({ type: "warning", message, fields });
}

/** Removes old releases, best effort; at most `most` of those without a record, such as another deployer's, stay. */
export async function removeOldReleases(
  io: DeployIo,
  signal: AbortSignal,
  most: number = Number.POSITIVE_INFINITY,
): Promise<void> {
  await bestEffort(io, "remove old releases", () => untilStopped(prune(io, most), io, signal));
}

async function prune(io: DeployIo, most: number): Promise<void> {
  await io.switches.exclusively(async () => {
    const { keep, others } = retention(await io.store.load(), await io.deployer.live());
    const removed = await io.deployer.prune(keep, Math.min(others, most));
    if (removed.length === 0) return;
    await io.store.update((state) => withoutReleases(state, removed));
    io.emit({ type: "pruned", directories: removed });
  });
}

async function reportBestEffort(
  what: string,
  release: { id: string; tag: string },
  error: string | undefined,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  await bestEffort(io, what, () => untilStopped(report(release, error, io), io, signal));
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

/** Waits for work, but only briefly once dewy is stopping: the work may ignore every signal. */
async function untilStopped(work: Promise<void>, io: DeployIo, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  const stopped = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { signal: done.signal });
  });
  const givenUp = stopped.then(async () => {
    await io.clock.sleep(STOP_GRACE_MS, done.signal);
    throw new AbortedError("dewy stops, and it took too long");
  });
  try {
    await Promise.race([work, givenUp]);
  } finally {
    done.abort();
    givenUp.catch(() => {});
  }
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
