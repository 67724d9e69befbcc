/**
 * What a start does about the traces of a crash: every state that a `kill -9` can leave is finished or
 * undone here.
 *
 * @module
 */
import { DewyError } from "../core/error.ts";
import type { DeployIo } from "./deployer.ts";
import { finish, hookContext, proveAndCommit } from "./sequence.ts";
import { cancelSwitch, findRelease, withoutReleases } from "./state.ts";

/**
 * Cleans up, and finishes or undoes a switch that was under way.
 *
 * @param io the world.
 * @param signal ends it.
 * @throws DewyError when the directory cannot be read or written.
 */
export async function recover(io: DeployIo, signal: AbortSignal): Promise<void> {
  await io.deployer.clean();
  await forgetLostReleases(io);
  const state = await io.store.load();
  if (state.switching === undefined) return;
  const { to, from } = state.switching;
  const release = findRelease(state, to);
  if ((await io.deployer.live()) === to && release !== undefined) {
    await finishSwitch(release.tag, to, from, io, signal);
    return;
  }
  await io.deployer.restore(from);
  await io.store.save(cancelSwitch(state));
  io.emit({ type: "recovered", tag: release?.tag, action: "undid a switch that had not happened" });
}

async function finishSwitch(
  tag: string,
  to: string,
  from: string | undefined,
  io: DeployIo,
  signal: AbortSignal,
): Promise<void> {
  const release = findRelease(await io.store.load(), to);
  if (release === undefined) return;
  const startedAt = io.clock.now();
  const context = await hookContext(release, io);
  try {
    await proveAndCommit(release, () => io.deployer.restore(from), from, io, signal);
  } catch (error) {
    if (!(error instanceof DewyError) || error.code === "aborted") throw error;
    return; // taken back and told; polling goes on
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
