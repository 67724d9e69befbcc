import { join } from "node:path";
import { createEngine } from "../host/container/create_engine.ts";
import type { ContainerConfig } from "./container_config.ts";
import { containerDirectory, makeContainerDirectory } from "./container_directory.ts";
import type { World } from "./world.ts";

/**
 * `dewy container`: keeps containers up to date without losing a request.
 *
 * @param config what the command is told.
 * @param world the world.
 * @returns the exit code.
 * @throws DewyError for a registry, engine, directory or port that cannot be used.
 */
export async function runContainer(config: ContainerConfig, world: World): Promise<number> {
  const { env, signals } = world;
  const root = containerDirectory(config, { env, isRoot: process.getuid?.() === 0 });
  const logins = join(root, ".dewy", "logins");
  const engine = createEngine(config.engine, { env, cwd: process.cwd(), logins });
  await engine.describe(signals.stop);
  await makeContainerDirectory(root);
  return 0;
}
