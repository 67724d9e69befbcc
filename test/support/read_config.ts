import { type Config, loadReader } from "../../src/cli/config.ts";
import type { ParsedArgv } from "../../src/cli/flags/parse.ts";
import { type CommandName, commands } from "../../src/cli/flags/table.ts";

const readers = new Map(
  await Promise.all(commands.map(async ({ name }) => [name, await loadReader(name)] as const)),
);

/** Reads a command line with the reader of its command. */
export function readConfig(command: CommandName, argv: ParsedArgv): Config {
  const read = readers.get(command);
  if (read === undefined) throw new Error(`no command ${command}`);
  return read(argv);
}
