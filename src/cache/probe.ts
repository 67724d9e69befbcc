import type { WriteCondition } from "./types.ts";

/** Writes the probe; `undefined` if the condition does not hold. */
export type WriteProbe = (body: string, condition: WriteCondition) => Promise<string | undefined>;

/**
 * Tries whether a store obeys conditions, both when they hold and when they do not. A store that ignores them looks like
 * one that obeys until two machines write at once.
 */
export async function obeysConditions(write: WriteProbe): Promise<boolean> {
  const first = await write("first", "absent");
  if (first === undefined || (await write("other", "absent")) !== undefined) return false;
  const second = await write("second", { version: first });
  if (second === undefined || second === first) return false;
  // The version that was right a moment ago.
  return (await write("third", { version: first })) === undefined;
}

export function probeKey(): string {
  return `dewy-probe/${crypto.randomUUID()}`;
}
