import type { DewyEvent } from "../core/event.ts";
import type { DeployIo } from "../deploy/deployer.ts";
import { asDewyError } from "../deploy/loop.ts";
import {
  type DeployedRelease,
  type DeployState,
  findBad,
  findRelease,
  markBad,
} from "../deploy/state.ts";
import type { ReleaseDirectory } from "./release_directory.ts";
import type { CrashLoop, Runner } from "./runner.ts";

/**
 * Goes back to the release before one that keeps crashing, and remembers that one as bad. Where there is no way back,
 * what runs releases goes on trying. To be run while nothing is being deployed.
 *
 * @param loop what keeps crashing.
 * @param parts the directory, what runs releases, and the memory.
 */
export async function fallBack(
  { release, crashes, reason }: CrashLoop,
  parts: {
    directory: ReleaseDirectory;
    runner: Runner;
    io: Pick<DeployIo, "store" | "clock" | "emit">;
  },
): Promise<void> {
  const { directory, runner, io } = parts;
  const { store, clock, emit } = io;
  if ((await directory.live()) !== release.directory) return;
  const state = await store.load();
  const bad = findRelease(state, release.directory);
  const previous = await previousGood(state, release.directory, directory);
  const way = bad === undefined || previous === undefined ? undefined : { bad, previous };
  emit({
    type: "crash-loop",
    tag: release.tag,
    crashes,
    action:
      way === undefined
        ? "there is no earlier good version to go back to; it is started again and again"
        : `going back to ${way.previous.tag}`,
  });
  if (way === undefined) return;
  const why = `it crashed ${crashes} times in a row; the last time, ${reason}`;
  await store.save(markBad(state, way.bad, why, clock.now()));
  await directory.point(way.previous.directory);
  emit({ type: "rolled-back", tag: way.bad.tag, to: way.previous.tag, reason: why });
  await runner.insist({ tag: way.previous.tag, directory: way.previous.directory });
}

/**
 * Says that the way back is barred.
 *
 * @param loop what keeps crashing.
 * @param error why {@link fallBack} failed.
 * @returns the event.
 */
export function cannotGoBack({ release }: CrashLoop, error: unknown): DewyEvent {
  const fields = { tag: release.tag, error: asDewyError(error).message };
  const message = "Cannot go back to the version before";
  return { type: "warning", important: true, message, fields };
}

/** The release before the crashing one, unless that one has crashed in the same way before. */
async function previousGood(
  state: DeployState,
  crashing: string,
  directory: ReleaseDirectory,
): Promise<DeployedRelease | undefined> {
  const previous = findRelease(state, state.previous);
  if (previous === undefined || previous.directory === crashing) return undefined;
  if (findBad(state, previous.tag, previous) !== undefined) return undefined;
  return (await directory.has(previous.directory)) ? previous : undefined;
}
