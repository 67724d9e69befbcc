import type { Deployer } from "../../deploy/deployer.ts";
import type { DeployedRelease } from "../../deploy/state.ts";
import type { ReleaseDirectory } from "../release_directory.ts";
import type { StageRelease } from "../stage_release.ts";
import type { AppRelease } from "./generation.ts";
import type { Supervisor } from "./supervisor.ts";

/** What {@link serverDeployer} works with. */
export interface ServerDeployerOptions {
  directory: ReleaseDirectory;
  stage: StageRelease;
  supervisor: Supervisor;
  /** How long a new version is watched after it has taken over, in milliseconds. */
  bakeMs: number;
  /** The tag of a release directory, where dewy knows it. */
  tagOf(directory: string): Promise<string | undefined>;
  /** Is told when a new version has taken over. */
  onStarted(tag: string, restarted: boolean): void;
}

/**
 * The deployer of `dewy server`: `current` is moved first, so that the command finds the new release; the generation
 * before it serves until the new one is ready, stands by for a while, and comes back when that does not prove itself.
 *
 * @param options the directory and the supervisor.
 * @returns the deployer.
 */
export function serverDeployer(options: ServerDeployerOptions): Deployer {
  const { directory, stage, supervisor, bakeMs } = options;
  const release = async (name: string): Promise<AppRelease> => ({
    tag: (await options.tagOf(name)) ?? "",
    directory: name,
  });
  const goBack = async (to: string | undefined): Promise<void> => {
    await directory.point(to);
    const running = supervisor.release?.directory;
    if (to !== undefined) await supervisor.goBack(await release(to));
    else if (to === undefined && running !== undefined) await supervisor.end();
  };
  return {
    live: directory.live,
    has: directory.has,
    path: directory.path,
    stage,
    activate: async ({ directory: name }) => {
      const before = await directory.live();
      await directory.point(name);
      return () => goBack(before);
    },
    restore: goBack,
    verify: async ({ tag, directory: name }: DeployedRelease, signal) => {
      const restarted = supervisor.release !== undefined;
      await supervisor.tryOut({ tag, directory: name }, signal);
      options.onStarted(tag, restarted);
      await supervisor.bake(bakeMs);
    },
    clean: directory.clean,
    prune: directory.prune,
  };
}
