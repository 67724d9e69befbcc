import { HOLDER_MARK } from "./holder_script.ts";

/** Where a holder's command line has the path for a new launcher's script. */
export const HOLDER_NEXT = 5;
/** Where it has the launcher's pid and start time, joined by a colon. */
export const HOLDER_LAUNCHER = 6;
/** Where it has the working directory of dewy. */
export const HOLDER_ROOT = 7;

/**
 * Whether a process is a holder of dewy's.
 *
 * @param process its command line.
 * @returns true for what `holder_script.ts` describes.
 */
export function isHolder({ command }: { readonly command: readonly string[] }): boolean {
  return command[2]?.startsWith(HOLDER_MARK) === true;
}
