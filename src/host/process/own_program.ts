/** The platform of a single binary, such as `linux_amd64`, stamped by its build; otherwise empty. */
export const BINARY: string = "";

/**
 * The command that starts this dewy again. A single binary is its own program; a script needs its
 * runtime, with the flags of the runtime.
 *
 * @param seen This process's command line as the system shows it. Only there are all flags of Deno.
 */
export function ownCommand(
  argv: readonly string[],
  seen?: readonly string[],
): readonly [string, ...string[]] {
  const script = BINARY === "" ? [...process.execArgv, ...process.argv.slice(1, 2)] : [];
  return [process.execPath, ...(seen?.slice(1) ?? [...script, ...argv])];
}
