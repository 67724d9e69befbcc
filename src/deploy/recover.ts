/**
 * Finishes or undoes everything that a crash, a stop or a failed way back can leave half done.
 *
 * @module
 */
import { DewyError } from "../core/error.ts";
import type { DeployIo } from "./deployer.ts";
import { failedEvent } from "./loop.ts";
import {
  finish,
  hookContext,
  proveAndCommit,
  removeOldReleases,
  runAfterHook,
} from "./sequence.ts";
import {
  cancelSwitch,
  type DeployedRelease,
  findBad,
  findRelease,
  withoutAfterHook,
  withoutReleases,
} from "./state.ts";

const WENT_BACK = "went back to the previous version";

/**
 * Cleans up at the start, and finishes or undoes a switch that was under way.
 *
 * @param io the world.
 * @param signal ends it.
 * @throws DewyError when the directory cannot be read or written.
 */
export async function recover(io: DeployIo, signal: AbortSignal): Promise<void> {
  await io.deployer.clean();
  await forgetLostReleases(io);
  const state = await io.store.load();
  const live = await io.deployer.live();
  if (live !== undefined && findRelease(state, live) === undefined) {
    const message = "Live version unknown: there is no record of it";
    io.emit({ type: "warning", message, fields: { directory: io.deployer.path(live) } });
  }
  // No records at all: the state file was lost, or another deployer made these releases.
  if (state.releases.length > 0) await removeOldReleases(io, signal, 0);
  if (state.switching === undefined) return;
  const { to, from } = state.switching;
  const release = findRelease(state, to);
  const isProvable = release !== undefined && findBad(state, release.tag, release) === undefined;
  if (isProvable && live === to) {
    await finishSwitch(release, from, io, signal);
    return;
  }
  await undoSwitch(io, live === to ? WENT_BACK : "undid a switch that had not happened");
}

/** Retries the way back if it failed, and runs an after-deploy hook that has not run; throws if the retry fails. */
export async function settle(io: DeployIo, signal: AbortSignal): Promise<void> {
  const state = await io.store.load();
  if (state.switching !== undefined) await undoSwitch(io, WENT_BACK);
  const { afterHook } = state;
  if (afterHook === undefined) return;
  const release = findRelease(state, afterHook.directory);
  if (release === undefined || (await io.deployer.live()) !== release.directory) {
    await io.store.save(withoutAfterHook(await io.store.load()));
    return;
  }
  const { previousTag } = afterHook;
  await runAfterHook({ ...(await hookContext(release, io)), previousTag }, io, signal);
}

async function undoSwitch(io: DeployIo, action: string): Promise<void> {
  const state = await io.store.load();
  await io.deployer.restore(state.switching?.from);
  await io.store.save(cancelSwitch(await io.store.load()));
  io.emit({ type: "recovered", tag: findRelease(state, state.switching?.to)?.tag, action });
}

async function finishSwitch(
  release: DeployedRelease,
  from: string | undefined,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  const { tag } = release;
  const startedAt = io.clock.now();
  const context = await hookContext(release, io);
  try {
    await proveAndCommit(release, () => io.deployer.restore(from), from, io, signal);
  } catch (error) {
    if (!(error instanceof DewyError) || error.code === "aborted") throw error;
    io.emit(failedEvent(error, 1, { tag }));
    return; // taken back, and polling goes on
  }
  io.emit({ type: "recovered", tag, action: "finished a switch that was interrupted" });
  await finish(release, context, io, startedAt, signal);
}

async function forgetLostReleases(io: DeployIo): Promise<void> {
  const state = await io.store.load();
  const lost: string[] = [];
  for (const { directory } of state.releases) {
    if (!(await io.deployer.has(directory))) lost.push(directory);
  }
  if (lost.length > 0) await io.store.save(withoutReleases(state, lost));
}
