/**
 * What a start does about the traces of a crash: every state that a `kill -9` can leave is finished or
 * undone here.
 *
 * @module
 */
import { DewyError } from "../core/error.ts";
import type { DeployIo } from "./deployer.ts";
import { hookContext, type Trial, verify } from "./sequence.ts";
import {
  cancelSwitch,
  type DeployedRelease,
  findRelease,
  isBad,
  wayBack,
  withoutReleases,
} from "./state.ts";

/**
 * Cleans up, and resumes or undoes a switch that was under way.
 *
 * @param io the world.
 * @param signal ends it.
 * @returns the release that still has to pass its bake, if there is one.
 * @throws DewyError when the directory cannot be read or written.
 */
export async function recover(io: DeployIo, signal: AbortSignal): Promise<Trial | undefined> {
  await io.deployer.clean();
  await forgetLostReleases(io);
  const live = await io.deployer.live();
  const state = await io.store.load();
  const { switching } = state;
  const release = findRelease(state, switching?.to);
  if (release !== undefined && live === release.directory && !isBad(state, live)) {
    return resume(release, io, signal);
  }
  const back = wayBack(state, switching?.to ?? live);
  if (switching === undefined && back === live) return undefined;
  await io.deployer.restore(back);
  await io.store.update((latest) => cancelSwitch(latest, back));
  const action =
    switching === undefined
      ? "went back from a version that kept crashing"
      : "undid a switch that had not happened";
  io.emit({ type: "recovered", tag: (release ?? findRelease(state, live))?.tag, action });
  return undefined;
}

async function resume(
  release: DeployedRelease,
  io: DeployIo,
  signal: AbortSignal,
): Promise<Trial | undefined> {
  const startedAt = io.clock.now();
  const context = await hookContext(release, io);
  try {
    await io.switches.attempt(signal, (either) => verify(release, undefined, io, either));
  } catch (error) {
    if (!(error instanceof DewyError) || error.code === "aborted") throw error;
    return undefined; // taken back and told; polling goes on
  }
  const action = "resumed a switch that was interrupted";
  io.emit({ type: "recovered", tag: release.tag, action });
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
