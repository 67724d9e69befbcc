import type { Deployer } from "../deploy/deployer.ts";
import type { ReleaseDirectory } from "./release_directory.ts";
import type { StageRelease } from "./stage_release.ts";

/** The deployer of `dewy assets`: a release is live as soon as `current` points to it, and nothing can fail to start. */
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
