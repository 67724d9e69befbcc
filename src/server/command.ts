import { realpath } from "node:fs/promises";
import { lockPath, runAgent } from "../agent/agent.ts";
import type { CommandContext } from "../agent/context.ts";
import { openDeployment } from "../agent/open_deployment.ts";
import { ConfigError } from "../core/error.ts";
import { assetsDeployer } from "../deployers/assets.ts";
import { acquireLock } from "../host/process/lock.ts";
import { holderOf, inheritedSockets } from "../host/sockets/inherited.ts";
import { appOptions } from "./app.ts";
import type { ServerConfig } from "./config.ts";
import { GenerationMembers, markedSocket } from "./generation/members.ts";
import { openHandoff } from "./handoff.ts";
import { directoryOfArguments } from "./program.ts";
import { superviseServer } from "./supervision.ts";
import { findOrphans } from "./supervisor/orphans.ts";

export async function runServer(config: ServerConfig, context: CommandContext): Promise<number> {
  // The user of the app must be able to enter releases, regardless of the umask.
  const mode = config.user === undefined && config.group === undefined ? undefined : 0o755;
  const deployment = await openDeployment(config, context, mode);
  const { registry, locator, cache, directory, stage, verify } = deployment;
  const { root } = directory;
  const { name, program } = config;
  const common = { config, name, root, registry, locator, cache, verify };
  if (program === undefined || config.dryRun) {
    if (program === undefined) context.emit({ type: "no-program" });
    return runAgent({ ...common, deployer: assetsDeployer(directory, stage) }, context);
  }
  // Only dewy and its apps can have the sockets of dewy's own holder.
  const isForeign = holderOf(context.env) === undefined;
  const sockets = inheritedSockets(context.env).flatMap(({ fd }) => markedSocket(fd, isForeign));
  const members = new GenerationMembers(root, sockets);
  const app = await appOptions({ ...config, program }, directory, members, context);
  await awaitPredecessor(config, root, context);
  const orphans = await findOrphans(members);
  const opened = await openHandoff(config, root, orphans, context);
  if (typeof opened === "number") return opened;
  if (config.directoryFrom === "command") {
    context.emit({ type: "directory-of-program", directory: root, program: program[0] });
  }
  await warnAboutArguments(program, root, context);
  const parts = superviseServer({ config, directory, stage, ...opened, app, orphans }, context);
  return runAgent({ ...common, ...parts }, context);
}

/** start_server stops the previous process once this one has run for a second; `--kill-old-delay` adds to that. */
const PREDECESSOR_TIMEOUT_MS = 30_000;
const PREDECESSOR_POLL_MS = 200;

/**
 * Waits for the exit of the previous dewy process if a server-starter starts the new one first
 * (https://metacpan.org/pod/start_server, SIGHUP). In all other cases, a locked directory is an error.
 */
async function awaitPredecessor(
  config: Pick<ServerConfig, "command" | "drainTimeMs">,
  root: string,
  { env, clock, emit, signals }: CommandContext,
): Promise<void> {
  if (holderOf(env) !== undefined || !(Number(env.SERVER_STARTER_GENERATION) > 1)) return;
  const deadline = clock.now() + config.drainTimeMs + PREDECESSOR_TIMEOUT_MS;
  for (let isFirst = true; ; isFirst = false) {
    try {
      const lock = await acquireLock(lockPath(root), config.command, { signal: signals.stop });
      return await lock.release();
    } catch (error) {
      const isLocked = error instanceof ConfigError && error.code === "locked";
      if (!isLocked || clock.now() >= deadline) throw error;
    }
    if (isFirst)
      emit({ type: "warning", message: "Waiting for the previous dewy process to exit" });
    await clock.sleep(PREDECESSOR_POLL_MS, signals.stop);
  }
}

/** After an interpreter, a script's path does not show whether it is meant to be kept up to date in its directory. */
async function warnAboutArguments(
  program: readonly [string, ...string[]],
  root: string,
  { emit }: CommandContext,
): Promise<void> {
  const named = directoryOfArguments(program);
  if (named === undefined || (await realpath(named).catch(() => named)) === root) return;
  emit({
    type: "warning",
    important: true,
    message: "The command names another directory than the one where releases are kept",
    fields: { directory: root, hint: `--directory ${named}` },
  });
}
