import { assetsDeployer } from "../deployers/assets.ts";
import { runAgent } from "./agent.ts";
import type { AssetsConfig } from "./assets_config.ts";
import { openDeployment } from "./open_deployment.ts";
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
  const { registry, locator, directory, stage } = await openDeployment(config, world);
  const deployer = assetsDeployer(directory, stage);
  return runAgent({ config, root: directory.root, registry, locator, deployer }, world);
}
