import type { CommandContext } from "../../agent/context.ts";
import { ConfigError } from "../../core/error.ts";
import { openReleaseDirectory } from "../../deployers/release_directory.ts";

/** The working directory of the instance that a command is for. */
export async function instanceDirectory(
  { directory }: { name?: string | undefined; directory?: string | undefined },
  _context: Pick<CommandContext, "env">,
): Promise<string> {
  if (directory === undefined) throw new ConfigError("Missing --directory");
  return (await openReleaseDirectory(directory)).root;
}
