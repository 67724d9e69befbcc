import type { Deployer } from "../deploy/deployer.ts";
import type { DeployedRelease } from "../deploy/state.ts";
import type { ReleaseDirectory } from "./release_directory.ts";
import type { AppRelease, Runner } from "./runner.ts";
import type { StageRelease } from "./stage_release.ts";

export interface SupervisedDeployerOptions {
  directory: ReleaseDirectory;
  stage: StageRelease;
  runner: Runner;
  /** How long a new version is watched after it has taken over. */
  bakeMs: number;
  /** The tag of a release directory, if it is known. */
  tagOf(directory: string): Promise<string | undefined>;
  /** Called after a new version has taken over. */
  onStarted(tag: string, restarted: boolean): void;
  /** Called after a new version has passed its bake. */
  onProven?(tag: string): void;
  /** Removes old releases. Defaults to that of the directory. */
  prune?: Deployer["prune"];
}

/**
 * The deployer of a command that keeps an app running. `current` moves first, because it says what should run; the
 * previous release serves until the new one is ready.
 */
export function supervisedDeployer(options: SupervisedDeployerOptions): Deployer {
  const { directory, stage, runner, bakeMs, prune = directory.prune } = options;
  const release = async (name: string): Promise<AppRelease> => ({
    tag: (await options.tagOf(name)) ?? "",
    directory: name,
  });
  const restore = async (to: string | undefined): Promise<void> => {
    await directory.point(to);
    const running = runner.release?.directory;
    if (to !== undefined) await runner.rollback(await release(to));
    else if (running !== undefined) await runner.end();
  };
  return {
    live: directory.live,
    has: directory.has,
    path: directory.path,
    stage,
    activate: (release) => directory.point(release.directory),
    restore,
    verify: async ({ tag, directory: name }: DeployedRelease, signal) => {
      const restarted = runner.release !== undefined;
      await runner.deploy({ tag, directory: name }, signal);
      options.onStarted(tag, restarted);
    },
    bake: async ({ tag, directory: name }: DeployedRelease, signal) => {
      const outcome = await runner.bake({ tag, directory: name }, bakeMs, signal);
      if (outcome === "proven") options.onProven?.(tag);
      return outcome;
    },
    clean: directory.clean,
    prune: (retention) =>
      prune(async () => {
        const { keep, others } = await retention();
        return { keep: new Set([...keep, ...(await runner.inUse())]), others };
      }),
  };
}
