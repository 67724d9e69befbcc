import type { ProcessIo } from "../host/process_io.ts";
import type { Config } from "./config.ts";
import type { World } from "./world.ts";

/** A world, and what must be ended with it. */
export interface Assembled {
  /** What the command gets. */
  world: World;
  /** Ends the subscribers: the last notifications leave, the progress line goes. */
  close(): Promise<void>;
}

/**
 * Builds the world of a command: the network, the drivers, and who listens to events.
 *
 * @param config what the command is told.
 * @param io the process.
 * @returns the world.
 * @throws ConfigError for a registry of another command, a notifier or a CA file that cannot be used.
 */
export async function assemble(config: Config, io: ProcessIo): Promise<Assembled> {
  throw new Error(`not wired yet: ${config.command} ${io.stderr.isTerminal}`);
}
