/** How many of its last lines tell why a program failed. */
export const TOLD_LINES = 20;
/** So many characters of each line are kept: a program that writes no newline must not fill memory, logs and messages. */
export const TOLD_CHARACTERS = 4_096;

/**
 * Says why a program failed, with what it wrote last.
 *
 * @param reason what happened.
 * @param lines its last lines, oldest first.
 * @returns such as `it ended with exit code 3; it wrote: no database`.
 */
export function withLastLines(reason: string, lines: readonly string[]): string {
  return `${reason}; ${lines.length === 0 ? "it wrote nothing" : `it wrote: ${lines.join(" | ")}`}`;
}
