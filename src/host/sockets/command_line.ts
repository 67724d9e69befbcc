import { commandLine } from "./socket_table.ts";

/**
 * The command line that starts this program once more, with all flags of the runtime.
 *
 * @param argv dewy's own arguments, used where the system does not tell the whole line.
 * @returns the program and its arguments.
 */
export function ownCommand(argv: readonly string[]): readonly [string, ...string[]] {
  const [, ...args] = commandLine() ?? [
    "",
    ...process.execArgv,
    ...(process.argv[1] === undefined ? [] : [process.argv[1]]),
    ...argv,
  ];
  return [process.execPath, ...args];
}
