import { lockPath } from "../agent/agent.ts";
import type { CommandContext } from "../agent/context.ts";
import { ConfigError } from "../core/error.ts";
import { acquireLock } from "../host/process/lock.ts";
import { holderOf } from "../host/sockets/inherited.ts";
import type { ServerConfig } from "./config.ts";

/** start_server asks the one before to end when this one has run for a second; `--kill-old-delay` adds to that. */
const PATIENCE_MS = 30_000;
const LOOK_MS = 200;

/**
 * Waits for the end of the dewy before this one, where a server-starter has started this one first and ends that one
 * afterwards (https://metacpan.org/pod/start_server, SIGHUP). Everywhere else a directory in use is an error at once.
 *
 * @param config what the command is told.
 * @param root the working directory.
 * @param world the world.
 * @throws ConfigError with the code `locked` when that one goes on for too long; AbortError when dewy is stopped.
 */
export async function awaitPredecessor(
  config: Pick<ServerConfig, "command" | "drainTimeMs">,
  root: string,
  { env, clock, emit, signals }: CommandContext,
): Promise<void> {
  if (holderOf(env) !== undefined || !(Number(env.SERVER_STARTER_GENERATION) > 1)) return;
  const deadline = clock.now() + config.drainTimeMs + PATIENCE_MS;
  for (let isFirst = true; ; isFirst = false) {
    try {
      const lock = await acquireLock(lockPath(root), config.command, { signal: signals.stop });
      return await lock.release();
    } catch (error) {
      const isLocked = error instanceof ConfigError && error.code === "locked";
      if (!isLocked || clock.now() >= deadline) throw error;
    }
    if (isFirst)
      emit({ type: "warning", message: "Waiting for the end of the dewy before this one" });
    await clock.sleep(LOOK_MS, signals.stop);
  }
}
