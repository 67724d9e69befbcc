import type { Deployer } from "../deploy/deployer.ts";
import type { ReleaseDirectory } from "./release_directory.ts";
import type { Runner } from "./runner.ts";
import type { StageRelease } from "./stage_release.ts";

interface Options {
  directory: ReleaseDirectory;
  stage: StageRelease;
  runner: Runner;
  /** How long a new version is watched after it has taken over. */
  bakeMs: number;
  tagOf(directory: string): Promise<string | undefined>;
  onStarted(tag: string, restarted: boolean): void;
  onProven?(tag: string): void;
  /** Removes old releases. Defaults to that of the directory. */
  prune?: Deployer["prune"];
}

/**
 * The deployer of a command that keeps an app running. `current` moves first, because it says what
 * should run; the previous release serves until the new one is ready.
 */
export function supervisedDeployer(options: Options): Deployer {
  const { directory, stage, runner, bakeMs, prune = directory.prune } = options;
  return {
    ...directory,
    stage,
    activate: (release) => directory.point(release.directory),
    restore: async (to) => {
      await directory.point(to);
      const tag = to === undefined ? undefined : await options.tagOf(to);
      if (to !== undefined) await runner.rollback({ tag: tag ?? "", directory: to });
      else if (runner.release !== undefined) await runner.end();
    },
    verify: async ({ tag, directory: name }, signal) => {
      const restarted = runner.release !== undefined;
      await runner.deploy({ tag, directory: name }, signal);
      options.onStarted(tag, restarted);
    },
    takeBack: async ({ tag, directory: name }, signal) => {
      await runner.takeBack({ tag, directory: name }, signal);
    },
    bakeMs,
    bake: async ({ tag, directory: name }, signal) => {
      const outcome = await runner.bake({ tag, directory: name }, bakeMs, signal);
      if (outcome === "proven") options.onProven?.(tag);
      return outcome;
    },
    prune: (retention) =>
      prune(async () => {
        const { keep, others } = await retention();
        return { keep: new Set([...keep, ...(await runner.inUse())]), others };
      }),
  };
}
