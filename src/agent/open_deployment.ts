import type { FetchConfig } from "../cli/flags/assets.ts";
import type { Registry } from "../core/types.ts";
import { openReleaseDirectory, type ReleaseDirectory } from "../deployers/release_directory.ts";
import { type StageRelease, stageRelease } from "../deployers/stage_release.ts";
import { cacheDirectory } from "../host/download/cache_directory.ts";
import type { LocatorBase } from "../registries/driver.ts";
import type { CommandContext } from "./context.ts";
import { loadConfigured } from "./open_configured.ts";

/** The parts of a command that deploys files. */
export interface Deployment {
  registry: Registry;
  /** The registry's URL as parsed, with the flags applied: the version policy. */
  locator: LocatorBase;
  directory: ReleaseDirectory;
  stage: StageRelease;
}

/**
 * Opens the registry and the working directory. Nothing is written, and no request is sent.
 *
 * @param releaseMode the permissions of releases. Defaults to 0777 minus the umask.
 * @throws DewyError for an invalid registry or directory.
 */
export async function openDeployment(
  config: FetchConfig,
  context: CommandContext,
  releaseMode?: number,
): Promise<Deployment> {
  const { clock, emit } = context;
  const { registry, locator } = await loadConfigured(config, context);
  const directory = await openReleaseDirectory(config.directory, releaseMode);
  const stage = stageRelease({
    registry,
    directory,
    downloads: () => cacheDirectory(directory.root, context.env.DEWY_CACHEDIR),
    maxArtifactBytes: config.maxArtifactSize,
    maxExpandedBytes: config.maxExpandedSize,
    clock,
    emit,
  });
  return { registry, locator, directory, stage };
}
