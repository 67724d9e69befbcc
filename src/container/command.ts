import { join } from "node:path";
import { runAgent } from "../agent/agent.ts";
import type { CommandContext } from "../agent/context.ts";
import { loadConfigured } from "../agent/open_configured.ts";
import { openSharedCache } from "../agent/shared_cache.ts";
import { ConfigError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";
import { openReleaseDirectory } from "../deployers/release_directory.ts";
import { isImageRegistry } from "../registries/oci/image_registry.ts";
import type { ContainerConfig } from "./config.ts";
import { containerDirectory, makeContainerDirectory } from "./directory.ts";
import { createEngine } from "./engine/cli_engine.ts";
import { openContainerProxy } from "./proxy.ts";
import { ContainerSupervision, dryDeployer } from "./supervision.ts";
import { openImageVerification } from "./verification.ts";

/** `dewy container`: keeps containers up to date without downtime. Returns the exit code. */
export async function runContainer(
  config: ContainerConfig,
  context: CommandContext,
): Promise<number> {
  const { env, signals } = context;
  const own = await loadConfigured(config, context);
  const { locator } = own;
  const { registry, store: cache } = await openSharedCache(config, own, context);
  if (!isImageRegistry(registry))
    throw new ConfigError(
      `Cannot use --registry "${redactUrl(config.registry)}": it has no images`,
    );
  const root = containerDirectory(config, { env, isRoot: process.getuid?.() === 0 });
  const logins = join(root, ".dewy", "logins");
  const engine = createEngine(config.engine, { env, cwd: process.cwd(), logins });
  await engine.describe(signals.stop);
  await makeContainerDirectory(root);
  const directory = await openReleaseDirectory(root);
  const { policy: verify, verification } = await openImageVerification(
    config,
    directory.root,
    context,
  );
  const common = {
    config,
    name: config.app,
    root: directory.root,
    registry,
    locator,
    cache,
    verify,
  };
  if (config.dryRun) {
    const deployer = dryDeployer({ config, directory, registry, engine, verification }, context);
    return runAgent({ ...common, deployer }, context);
  }
  const opened = await openContainerProxy(config, directory.root, context);
  if (opened.kind === "ended") return opened.exitCode;
  const { proxy } = opened;
  const parts = { config, directory, registry, engine, proxy, verification };
  const supervision = new ContainerSupervision(parts, context);
  const { deployer } = supervision;
  return runAgent({ ...common, deployer, supervision }, context);
}
