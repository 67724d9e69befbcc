import { realpath } from "node:fs/promises";
import { runAgent } from "../agent/agent.ts";
import type { CommandContext } from "../agent/context.ts";
import { openDeployment } from "../agent/open_deployment.ts";
import { assetsDeployer } from "../deployers/assets.ts";
import { holderOf, inheritedSockets } from "../host/sockets/inherited.ts";
import { appOptions } from "./app.ts";
import { awaitPredecessor } from "./await_predecessor.ts";
import type { ServerConfig } from "./config.ts";
import { GenerationMembers, markedSocket } from "./generation/members.ts";
import { openHandoff } from "./handoff.ts";
import { directoryOfArguments } from "./program.ts";
import { superviseServer } from "./supervision.ts";
import { findOrphans } from "./supervisor/orphans.ts";

/**
 * `dewy server`: keeps a program up to date without losing a request.
 *
 * @param config what the command is told.
 * @returns the exit code.
 * @throws DewyError for a registry, directory, port or user that cannot be used.
 */
export async function runServer(config: ServerConfig, context: CommandContext): Promise<number> {
  // Whatever the umask is, the user of the app must be able to enter them.
  const mode = config.user === undefined && config.group === undefined ? undefined : 0o755;
  const { registry, locator, directory, stage } = await openDeployment(config, context, mode);
  const { root } = directory;
  const common = { config, root, registry, locator };
  const { program } = config;
  if (program === undefined) {
    context.emit({ type: "no-program" });
    return runAgent({ ...common, deployer: assetsDeployer(directory, stage) }, context);
  }
  // Nobody but dewy and its apps can have what dewy's own holder keeps open.
  const isForeign = holderOf(context.env) === undefined;
  const sockets = inheritedSockets(context.env).flatMap(({ fd }) => markedSocket(fd, isForeign));
  const members = new GenerationMembers(root, sockets);
  const app = await appOptions(config, program, directory, members, context);
  await awaitPredecessor(config, root, context);
  const orphans = await findOrphans(members);
  const opened = await openHandoff(config, root, orphans, context);
  if (opened.kind === "ended") return opened.exitCode;
  if (config.directoryFrom === "command") {
    context.emit({ type: "directory-of-program", directory: root, program: program[0] });
  }
  await warnOfArguments(program, root, context);
  const { handoff, withPort } = opened;
  const parts = superviseServer(
    { config, directory, stage, handoff, withPort, app, orphans },
    context,
  );
  return runAgent({ ...common, ...parts }, context);
}

/** With an interpreter in front, nothing says that the script is meant to be kept up to date where it stands. */
async function warnOfArguments(
  program: readonly [string, ...string[]],
  root: string,
  context: CommandContext,
): Promise<void> {
  const named = directoryOfArguments(program);
  if (named === undefined || (await realpath(named).catch(() => named)) === root) return;
  context.emit({
    type: "warning",
    important: true,
    message: "The command names another directory than the one where releases are kept",
    fields: { directory: root, hint: `--directory ${named}` },
  });
}
