import { join } from "node:path";
import { adminApi } from "../admin/admin_api.ts";
import { adminContainer } from "../admin/admin_container.ts";
import { ConfigError } from "../core/error.ts";
import { managedLabels } from "../deployers/container/name_replica.ts";
import { openReleaseDirectory } from "../deployers/release_directory.ts";
import { serveAdmin } from "../host/admin_server.ts";
import { createEngine } from "../host/container/create_engine.ts";
import type { ContainerEngine } from "../host/container/engine.ts";
import { isImageRegistry } from "../registry/image_registry.ts";
import { connect } from "../registry/open.ts";
import { runAgent } from "./agent.ts";
import type { ContainerConfig } from "./container_config.ts";
import { containerDirectory, makeContainerDirectory } from "./container_directory.ts";
import { containerFront } from "./container_front.ts";
import { type ContainerStatus, superviseContainer } from "./container_supervision.ts";
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
  const { env, signals, registries } = world;
  const { slot = "", calver = "" } = config;
  const root = containerDirectory(config, { env, isRoot: process.getuid?.() === 0 });
  const logins = join(root, ".dewy", "logins");
  const engine = createEngine(config.engine, { env, cwd: process.cwd(), logins });
  await engine.describe(signals.stop);
  const { registry, locator } = connect(config.registry, { ...world.io, registries, slot, calver });
  if (!isImageRegistry(registry)) {
    throw new ConfigError(`Cannot use --registry: dewy container needs a registry of images`);
  }
  await makeContainerDirectory(root);
  const directory = await openReleaseDirectory(root);
  const opened = await containerFront(config, directory.root, world);
  if (opened.kind === "ended") return opened.exitCode;
  const { front } = opened;
  const parts = superviseContainer({ config, directory, registry, engine, front }, world);
  const closeAdmin = await openAdmin(config, engine, parts.status, world);
  try {
    return await runAgent({ config, root: directory.root, registry, locator, ...parts }, world);
  } finally {
    await closeAdmin();
  }
}

async function openAdmin(
  { app, adminPort }: ContainerConfig,
  engine: ContainerEngine,
  status: () => ContainerStatus,
  { emit }: World,
): Promise<() => Promise<void>> {
  const handler = adminApi({
    containers: async (signal) =>
      (await engine.list(managedLabels(app), signal)).map((container) => adminContainer(container)),
    status: () => {
      const { tag = "", backends, isRunning } = status();
      const numbers = { proxy_backends: backends, is_running: isRunning };
      return { command: 2, current_version: tag, name: app, ...numbers };
    },
  });
  const server = await serveAdmin(handler, adminPort);
  if (server !== undefined) return () => server.close();
  const fields = { port: adminPort };
  emit({ type: "warning", message: "Cannot open the admin API: its ports are taken", fields });
  return async () => {};
}
