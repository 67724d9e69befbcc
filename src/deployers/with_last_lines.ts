export const TOLD_LINES = 20;
/** Longer lines are cut: output without newlines must not fill memory, logs and messages. */
export const TOLD_CHARACTERS = 4_096;

/** Appends the last lines of output to a reason: `the app exited with exit code 3; it wrote: no database`. */
export function withLastLines(reason: string, lines: readonly string[]): string {
  return `${reason}${lines.length === 0 ? ", without output" : `; it wrote: ${lines.join(" | ")}`}`;
}
