import { realpath } from "node:fs/promises";
import type { ProcessIo } from "../host/process/io.ts";
import { holdSockets } from "../host/sockets/hold_sockets.ts";
import { holderOf, inheritedSockets } from "../host/sockets/inherited.ts";
import type { ServerConfig } from "./config.ts";
import { GenerationMembers } from "./generation/members.ts";
import { findOrphans } from "./supervisor/orphans.ts";

/**
 * Opens the sockets and leaves them to a holder, which starts dewy again. This comes before the rest of dewy is loaded,
 * because where a runtime cannot replace its process, this one stays and should be small. The started process reports
 * everything else that is wrong with the command line.
 *
 * @returns the exit code of the started process; `undefined` if there is nothing to open, or orphans to stop first.
 */
export async function launchServer(
  config: ServerConfig,
  { env, signals, argv }: ProcessIo,
): Promise<number | undefined> {
  const { handoff, ports, program } = config;
  const opensNothing = program === undefined || config.dryRun;
  if (opensNothing || handoff !== "socket" || ports.length === 0) return undefined;
  if (holderOf(env) !== undefined || inheritedSockets(env).length > 0) return undefined;
  const root = await realpath(config.directory).catch(() => undefined);
  if (root === undefined) return undefined;
  const orphans = await findOrphans(new GenerationMembers(root));
  if (orphans.length > 0) return undefined;
  const held = await holdSockets(ports, { env, emit: () => {}, signals, root, argv });
  return held.kind === "ended" ? held.exitCode : undefined;
}
