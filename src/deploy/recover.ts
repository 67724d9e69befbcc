/**
 * Finishes or undoes everything that a crash, a stop or a failed way back can leave half done.
 *
 * @module
 */
import { DewyError } from "../core/error.ts";
import type { DeployIo } from "./deployer.ts";
import { failedEvent } from "./loop.ts";
import { hookContext, removeOldReleases, runAfterHook, type Trial, verify } from "./sequence.ts";
import {
  cancelSwitch,
  type DeployedRelease,
  type DeployState,
  findRelease,
  isBad,
  wayBack,
  withoutAfterHook,
  withoutReleases,
} from "./state.ts";

/**
 * Cleans up at the start, and resumes or undoes a switch that was under way.
 *
 * @param io the parts of the deploy.
 * @param signal ends it.
 * @returns the release that still has to pass its bake, if there is one.
 * @throws DewyError when the directory cannot be read or written.
 */
export async function recover(io: DeployIo, signal: AbortSignal): Promise<Trial | undefined> {
  await io.deployer.clean();
  await forgetLostReleases(io);
  const live = await io.deployer.live();
  const state = await io.store.load();
  if (live !== undefined && findRelease(state, live) === undefined) {
    const message = "Live version unknown: there is no record of it";
    io.emit({ type: "warning", message, fields: { directory: io.deployer.path(live) } });
  }
  // No records at all: the state file was lost, or another deployer made these releases.
  if (state.releases.length > 0) await removeOldReleases(io, signal, 0);
  const release = findRelease(state, state.switching?.to);
  if (release !== undefined && live === release.directory && !isBad(state, live)) {
    return resume(release, io, signal);
  }
  await undoLeftovers(state, live, io);
  return undefined;
}

/**
 * Retries what a poll may find half done: a way back that failed, and an after-deploy hook that has not run.
 *
 * @throws DewyError if the way back fails again.
 */
export async function settle(io: DeployIo, signal: AbortSignal): Promise<void> {
  const { switches } = io;
  const isLeft = ({ switching }: DeployState): boolean =>
    switching !== undefined && !switches.underway.has(switching.to);
  if (isLeft(await io.store.load())) {
    await switches.exclusively(async () => {
      const state = await io.store.load();
      if (isLeft(state)) await undoLeftovers(state, await io.deployer.live(), io);
    });
  }
  const { afterHook, releases } = await io.store.load();
  if (afterHook === undefined || switches.underway.has(afterHook.directory)) return;
  const { directory, previousTag } = afterHook;
  const release = releases.find((one) => one.directory === directory);
  if (release === undefined || (await io.deployer.live()) !== directory) {
    await io.store.update((state) => withoutAfterHook(state, directory));
    return;
  }
  await runAfterHook(release, { ...(await hookContext(release, io)), previousTag }, io, signal);
}

/** Goes back from a switch that nobody is finishing any more, and from a version that is marked as bad. */
async function undoLeftovers(
  state: DeployState,
  live: string | undefined,
  io: DeployIo,
): Promise<void> {
  const { switching } = state;
  const back = wayBack(state, switching?.to ?? live);
  if (switching === undefined && back === live) return;
  await io.deployer.restore(back);
  await io.store.update((latest) => cancelSwitch(latest, back));
  const left = findRelease(state, switching?.to) ?? findRelease(state, live);
  const hasHappened = switching === undefined || live === switching.to;
  const action = hasHappened
    ? "went back to the previous version"
    : "undid a switch that had not happened";
  io.emit({ type: "recovered", tag: left?.tag, action });
}

async function resume(
  release: DeployedRelease,
  io: DeployIo,
  signal: AbortSignal,
): Promise<Trial | undefined> {
  const { tag } = release;
  const startedAt = io.clock.now();
  const context = await hookContext(release, io);
  try {
    await io.switches.attempt(signal, (either) => verify(release, undefined, io, either));
  } catch (error) {
    if (!(error instanceof DewyError) || error.code === "aborted") throw error;
    io.emit(failedEvent(error, 1, { tag }));
    return undefined; // taken back, and polling goes on
  }
  io.emit({ type: "recovered", tag, action: "resumed a switch that was interrupted" });
  return { release, context, startedAt };
}

async function forgetLostReleases(io: DeployIo): Promise<void> {
  const { releases } = await io.store.load();
  const lost: string[] = [];
  for (const { directory } of releases) {
    if (!(await io.deployer.has(directory))) lost.push(directory);
  }
  if (lost.length > 0) await io.store.update((state) => withoutReleases(state, lost));
}
