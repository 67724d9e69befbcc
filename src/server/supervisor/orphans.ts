/**
 * Generations that an earlier dewy of the same directory has left behind: it was killed, they serve on.
 *
 * @module
 */
import { basename } from "node:path";
import type { ProcessEntry } from "../../host/process/processes.ts";
import { environmentOf } from "../../host/process/processes.ts";
import { type GenerationMembers, RELEASE_VARIABLE, TAG_VARIABLE } from "../generation/members.ts";
import { endable } from "./generation_end.ts";
import type { Endable } from "./retire.ts";

/** A generation that an earlier dewy has started, or what is left of it. */
export interface Orphan extends Endable {
  /** Its tag; empty when that dewy did not know it. */
  readonly tag: string;
  /** The name of its release directory; empty when that dewy did not state it. */
  readonly directory: string;
}

/**
 * Finds them.
 *
 * @param members finds their processes.
 * @returns one for each generation of which something runs; none where there is no `/proc`.
 */
export async function findOrphans(members: GenerationMembers): Promise<readonly Orphan[]> {
  const found = await members.ofEarlierDewys();
  return [...found].map(([id, entries]) => {
    const main = mainOf(entries);
    return {
      ...endable({ id, ...main }, members),
      tag: variableOf(entries, TAG_VARIABLE),
      directory: basename(variableOf(entries, RELEASE_VARIABLE)),
    };
  });
}

/** The oldest process that none of the others has started: what was left behind may have lost its main process. */
function mainOf(entries: readonly ProcessEntry[]): ProcessEntry {
  const pids = new Set(entries.map(({ pid }) => pid));
  return entries
    .filter(({ parent }) => !pids.has(parent))
    .reduce((a, b) => (Number(b.startTime) < Number(a.startTime) ? b : a));
}

/** Some programs overwrite their environment, so any of its processes may be the one that still has it. */
function variableOf(entries: readonly ProcessEntry[], name: string): string {
  for (const { pid } of entries) {
    const value = environmentOf(pid)?.get(name);
    if (value !== undefined) return value;
  }
  return "";
}
