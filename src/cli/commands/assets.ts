import { runAgent } from "../../agent/agent.ts";
import type { CommandContext } from "../../agent/context.ts";
import { openDeployment } from "../../agent/open_deployment.ts";
import { assetsDeployer } from "../../deployers/assets.ts";
import type { AssetsConfig } from "../flags/assets.ts";

export async function runAssets(config: AssetsConfig, context: CommandContext): Promise<number> {
  const { directory, stage, ...opened } = await openDeployment(config, context);
  const deployer = assetsDeployer(directory, stage);
  const { name } = config;
  const { root } = directory;
  return runAgent({ config, name, root, deployer, ...opened }, context);
}
