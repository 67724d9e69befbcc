import type { Deployer } from "../deploy/deployer.ts";
import type { ReleaseDirectory } from "./release_directory.ts";
import type { StageRelease } from "./stage_release.ts";

/**
 * The deployer of `dewy assets`: the newest release is live as soon as `current` points to it, and there is
 * nothing that could fail to start.
 *
 * @param directory the working directory.
 * @param stage makes a release of an artifact.
 * @returns the deployer.
 */
export function assetsDeployer(directory: ReleaseDirectory, stage: StageRelease): Deployer {
  return {
    live: directory.live,
    has: directory.has,
    path: directory.path,
    stage,
    activate: (release) => directory.point(release.directory),
    restore: directory.point,
    verify: async () => {},
    clean: directory.clean,
    prune: directory.prune,
  };
}
