import { readFileSync } from "node:fs";

/**
 * Reads what a process was started with.
 *
 * @param pid the process.
 * @returns its environment, empty when the process has overwritten it; `undefined` when it may not be read.
 */
export function environmentOf(pid: number): ReadonlyMap<string, string> | undefined {
  try {
    const variables = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    const pairs = variables.map((text) => [text, text.indexOf("=")] as const);
    return new Map(
      pairs.filter(([, at]) => at > 0).map(([text, at]) => [text.slice(0, at), text.slice(at + 1)]),
    );
  } catch {
    return undefined;
  }
}
