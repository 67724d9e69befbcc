import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { assetsDeployer } from "../deployers/assets.ts";
import { openReleaseDirectory } from "../deployers/release_directory.ts";
import { stageRelease } from "../deployers/stage_release.ts";
import { connect } from "../registry/open.ts";
import { runAgent } from "./agent.ts";
import type { AssetsConfig } from "./config.ts";
import type { World } from "./world.ts";

/**
 * `dewy assets`: keeps the files of a directory up to date.
 *
 * @param config what the command is told.
 * @param world the world.
 * @returns the exit code.
 * @throws DewyError for a registry or directory that cannot be used; nothing has been written then.
 */
export async function runAssets(config: AssetsConfig, world: World): Promise<number> {
  const { slot = "", calver = "" } = config;
  const { registries } = world;
  const { registry, locator } = connect(config.registry, { ...world.io, registries, slot, calver });
  const directory = await openReleaseDirectory(config.directory);
  const { root } = directory;
  const stage = stageRelease({
    registry,
    directory,
    downloads: downloadDirectory(root, world.env.DEWY_CACHEDIR),
    maxArtifactBytes: config.maxArtifactSize,
    maxExpandedBytes: config.maxExpandedSize,
    clock: world.clock,
    emit: world.emit,
  });
  const deployer = assetsDeployer(directory, stage);
  return runAgent({ config, root, registry, locator, deployer }, world);
}

/** Several directories can share `DEWY_CACHEDIR`: each has its own part of it. */
function downloadDirectory(root: string, shared: string | undefined): string {
  if (shared === undefined || shared === "") return join(root, ".dewy", "cache");
  const part = createHash("sha256").update(root).digest("hex").slice(0, 16);
  return join(resolve(shared), part);
}
