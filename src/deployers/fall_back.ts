import type { DeployIo } from "../deploy/deployer.ts";
import { findRelease, markBad } from "../deploy/state.ts";
import type { ReleaseDirectory } from "./release_directory.ts";
import type { AppRelease, Runner } from "./runner.ts";

/**
 * Goes back to the release before one that keeps crashing, and remembers that one as bad. To be run while nothing is
 * being deployed.
 *
 * @param crashing the release.
 * @param reason what happened.
 * @param parts the directory, what runs releases, and the memory.
 */
export async function fallBack(
  crashing: AppRelease,
  reason: string,
  parts: { directory: ReleaseDirectory; runner: Runner; io: DeployIo },
): Promise<void> {
  const { directory, runner, io } = parts;
  const { store, clock, emit } = io;
  const state = await store.load();
  const bad = findRelease(state, crashing.directory);
  const previous = findRelease(state, state.previous);
  if (bad === undefined || (await directory.live()) !== crashing.directory) return;
  if (previous === undefined || previous.directory === bad.directory) return;
  if (!(await directory.has(previous.directory))) return;
  await store.save(markBad(state, bad, reason, clock.now()));
  await directory.point(previous.directory);
  emit({ type: "rolled-back", tag: bad.tag, to: previous.tag, reason });
  await runner.insist({ tag: previous.tag, directory: previous.directory });
}
