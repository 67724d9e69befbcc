import type { CommandContext } from "../../agent/context.ts";
import { chooseInstance } from "../../control/instances.ts";

/** The working directory of the instance that a command is for. */
export async function instanceDirectory(
  by: { name?: string | undefined; directory?: string | undefined },
  { env }: Pick<CommandContext, "env">,
): Promise<string> {
  return (await chooseInstance(by, env)).directory;
}
