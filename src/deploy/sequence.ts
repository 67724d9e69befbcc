/**
 * The deploy, visible in one function. Every phase is timed, tells its event, and wraps its failure with
 * its name.
 *
 * @module
 */
import { AbortedError, DeployError, type DeployPhase, DewyError, faultOf } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import type { Candidate, DeployIo, HookContext, Staged, Undo } from "./deployer.ts";
import {
  beginSwitch,
  cancelSwitch,
  commitSwitch,
  type DeployedRelease,
  deployedRelease,
  findRelease,
  markBad,
  retention,
  sameBytes,
  withoutAfterHook,
  withoutReleases,
  withRelease,
} from "./state.ts";

const REPORT_TIMEOUT_MS = 60_000;
/** How long a best-effort step can still take once dewy is stopping. */
const STOP_GRACE_MS = 5_000;

/**
 * Deploys one version: stage, before hook, activate, verify, commit, then everything that may fail
 * without harm.
 *
 * @param candidate the version.
 * @param io the world.
 * @param signal ends it; once the version is live, only `verify` still listens.
 * @returns the release that is live now.
 * @throws DeployError naming the phase; what ran before runs on.
 */
export async function deploy(
  candidate: Candidate,
  io: DeployIo,
  signal: AbortSignal,
): Promise<DeployedRelease> {
  const startedAt = io.clock.now();
  const { tag } = candidate.release;
  const phase = <T>(name: DeployPhase, work: () => Promise<T>): Promise<T> =>
    inPhase(name, tag, io, work);
  try {
    const release = await phase("stage", () => stage(candidate, io, signal));
    const context = await hookContext(release, io);
    await phase("before", () => runBeforeHook(context, io, signal));
    await switchTo(release, io, signal);
    await finish(release, context, io, startedAt, signal);
    return release;
  } catch (error) {
    if (!signal.aborted) {
      const { release } = candidate;
      await reportBestEffort("report the failed deploy", release, messageOf(error), io, signal);
      await removeOldReleases(io, signal);
    }
    throw error;
  }
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
  await runAfterHook(context, io, signal);
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
  const staged = await io.deployer.stage(candidate, signal, async (made) =>
    io.store.save(withRelease(await io.store.load(), recordOf(made))),
  );
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
 * @returns the context; the previous tag is that of the live release, or of the one being replaced.
 */
export async function hookContext(release: DeployedRelease, io: DeployIo): Promise<HookContext> {
  const state = await io.store.load();
  const before = state.switching === undefined ? await io.deployer.live() : state.switching.from;
  return {
    tag: release.tag,
    previousTag: findRelease(state, before)?.tag,
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

/** Runs the after-deploy hook. The state remembers it until it has ended, so that one cut short runs again. */
export async function runAfterHook(
  context: HookContext,
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
    await io.store.save(withoutAfterHook(await io.store.load()));
  });
}

async function switchTo(
  release: DeployedRelease,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  const { tag } = release;
  const from = await io.deployer.live();
  const undo = await inPhase("activate", tag, io, async () => {
    await io.store.save(beginSwitch(await io.store.load(), release.directory, from));
    try {
      return await io.deployer.activate(release, signal);
    } catch (error) {
      await goBack(tag, () => io.deployer.restore(from), io);
      throw error;
    }
  });
  io.emit({ type: "activated", tag, directory: io.deployer.path(release.directory) });
  await proveAndCommit(release, undo, from, io, signal);
}

/**
 * The steps between "live" and "current": a release that does not prove itself is taken back and
 * remembered as bad; one that could not be tried, or cannot be committed, is taken back and tried again later.
 *
 * @param release what is live.
 * @param undo goes back.
 * @param from the directory that was live before.
 * @param io the world.
 * @param signal ends the proof, which counts as "not proved" but not as bad.
 * @throws DeployError of the phase `verify` or `commit`.
 */
export async function proveAndCommit(
  release: DeployedRelease,
  undo: () => Promise<void>,
  from: string | undefined,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  try {
    await inPhase("verify", release.tag, io, () => io.deployer.verify(release, signal));
  } catch (error) {
    const verdict = signal.aborted ? "stopped" : faultOf(error) === "release" ? "bad" : "untried";
    await takeBack(release, undo, from, error, io, verdict);
    throw error;
  }
  try {
    await inPhase("commit", release.tag, io, async () =>
      io.store.save(commitSwitch(await io.store.load())),
    );
  } catch (error) {
    await takeBack(release, undo, from, error, io, "untried");
    throw error;
  }
}

async function takeBack(
  release: DeployedRelease,
  undo: Undo,
  from: string | undefined,
  error: unknown,
  io: DeployIo,
  verdict: "bad" | "untried" | "stopped",
): Promise<void> {
  const { tag } = release;
  const reason = messageOf(error);
  if (verdict === "bad") {
    // Before the way back, which may fail, or be cut short by a crash.
    await bestEffort(io, "remember the bad version", async () =>
      io.store.save(markBad(await io.store.load(), release, reason, io.clock.now())),
    );
  }
  if (!(await goBack(tag, undo, io))) return;
  const to = findRelease(await io.store.load(), from)?.tag ?? from;
  if (verdict === "bad" && to !== undefined) {
    io.emit({ type: "rolled-back", tag, to, reason });
    return;
  }
  const message =
    verdict === "stopped" ? "The deploy was given up: dewy ends" : "Version taken back";
  io.emit({ type: "warning", message, fields: { tag, ...(to === undefined ? {} : { to }) } });
}

/** Returns whether it succeeded; if not, the switch stays on record, and `settle` tries again. */
async function goBack(tag: string, undo: Undo, io: DeployIo): Promise<boolean> {
  try {
    await undo();
  } catch (error) {
    const message = "Cannot go back to the previous version; the next poll tries again";
    const fields = { tag, error: messageOf(error) };
    io.emit({ type: "warning", important: true, message, fields });
    return false;
  }
  await bestEffort(io, "forget the switch that was taken back", async () =>
    io.store.save(cancelSwitch(await io.store.load())),
  );
  return true;
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
  const { keep, others } = retention(await io.store.load(), await io.deployer.live());
  const removed = await io.deployer.prune(keep, Math.min(others, most));
  if (removed.length === 0) return;
  await io.store.save(withoutReleases(await io.store.load(), removed));
  io.emit({ type: "pruned", directories: removed });
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
