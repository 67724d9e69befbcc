import type { FetchConfig } from "../cli/flags/assets.ts";
import { openReleaseDirectory } from "../deployers/release_directory.ts";
import { stageRelease } from "../deployers/stage_release.ts";
import { cacheDirectory } from "../host/download/cache_directory.ts";
import type { CommandContext } from "./context.ts";
import { loadConfigured } from "./open_configured.ts";
import { openSharedCache } from "./shared_cache.ts";
import { openVerification } from "./verification.ts";

/**
 * Opens the registry and the working directory. Nothing is written, and no request is sent. `releaseMode` are the
 * permissions of releases; it defaults to 0777 minus the umask.
 */
export async function openDeployment(
  config: FetchConfig,
  context: CommandContext,
  releaseMode?: number,
) {
  const { clock, emit } = context;
  const own = await loadConfigured(config, context);
  const { locator } = own;
  const { registry, artifacts, store: cache } = await openSharedCache(config, own, context);
  const directory = await openReleaseDirectory(config.directory, releaseMode);
  const verification = await openVerification(config, directory.root, context);
  const stage = stageRelease({
    registry,
    artifacts,
    directory,
    downloads: () => cacheDirectory(directory.root, context.env.DEWY_CACHEDIR),
    maxArtifactBytes: config.maxArtifactSize,
    maxExpandedBytes: config.maxExpandedSize,
    gate: verification.gate,
    clock,
    emit,
  });
  return { registry, locator, cache, directory, stage, verify: verification.policy };
}
