import type { FetchConfig } from "../cli/flags/assets.ts";
import type { Registry } from "../core/types.ts";
import { openReleaseDirectory, type ReleaseDirectory } from "../deployers/release_directory.ts";
import { type StageRelease, stageRelease } from "../deployers/stage_release.ts";
import { cacheDirectory } from "../host/download/cache_directory.ts";
import type { LocatorBase } from "../registries/driver.ts";
import type { CommandContext } from "./context.ts";
import { loadConfigured } from "./open_configured.ts";

/** What every command that deploys files begins with. */
export interface Deployment {
  registry: Registry;
  /** How the registry's URL was read, with the flags laid over it: the version policy. */
  locator: LocatorBase;
  directory: ReleaseDirectory;
  stage: StageRelease;
}

/**
 * Opens the registry and the working directory. Nothing is written, and nobody is asked.
 *
 * @param config what the command is told.
 * @param releaseMode the permissions of releases. Defaults to what the umask leaves of 0777.
 * @returns both, and the function that makes releases of artifacts.
 * @throws DewyError for a registry or directory that cannot be used.
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
