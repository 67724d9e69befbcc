import { realpath } from "node:fs/promises";
import type { ProcessIo } from "../host/process/io.ts";
import { holdSockets } from "../host/sockets/hold_sockets.ts";
import { holderOf, inheritedSockets } from "../host/sockets/inherited.ts";
import type { ServerConfig } from "./config.ts";
import { GenerationMembers } from "./generation/members.ts";
import { findOrphans } from "./supervisor/orphans.ts";

/**
 * Opens the sockets and leaves them to a holder, which starts dewy once more, before anything else of dewy is loaded:
 * where a runtime cannot replace its process, this one stays, and is to be small. Whatever else is wrong with the
 * command line, the dewy that is started says so.
 *
 * @param config what the command is told.
 * @param io the process.
 * @returns the exit code of that dewy; `undefined` when there is nothing to open, or something to clear away first.
 * @throws HostError for a socket that cannot be opened.
 */
export async function launchServer(
  config: ServerConfig,
  io: ProcessIo,
): Promise<number | undefined> {
  const { handoff, ports, program } = config;
  const { env, signals } = io;
  if (program === undefined || handoff !== "socket" || ports.length === 0) return undefined;
  if (holderOf(env) !== undefined || inheritedSockets(env).length > 0) return undefined;
  const root = await realpath(config.directory).catch(() => undefined);
  if (root === undefined) return undefined;
  const orphans = await findOrphans(new GenerationMembers(root));
  if (orphans.length > 0) return undefined;
  const argv = process.argv.slice(2);
  const held = await holdSockets(ports, { env, emit: () => {}, signals, root, argv });
  return held.kind === "ended" ? held.exitCode : undefined;
}
