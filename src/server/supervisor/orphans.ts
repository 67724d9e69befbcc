import { basename } from "node:path";
import { environmentOf, type ProcessEntry } from "../../host/process/processes.ts";
import {
  GENERATION_VARIABLE,
  type GenerationMembers,
  RELEASE_VARIABLE,
  TAG_VARIABLE,
} from "../generation/members.ts";
import { type GenerationProcesses, generationProcesses } from "./generation.ts";

/** A generation, or a part of it, that was left behind when an earlier dewy process was killed. It keeps serving. */
export interface Orphan extends GenerationProcesses {
  /** Its number in the earlier process; `undefined` if that is not known. */
  readonly number: number | undefined;
  /** Empty if it is not known. */
  readonly tag: string;
  /** The name of its release directory; empty if it is not known. */
  readonly directory: string;
}

/** Finds the orphans of a working directory. Without `/proc`, none are found. */
export async function findOrphans(members: GenerationMembers): Promise<readonly Orphan[]> {
  const found = await members.ofEarlierDewys();
  return [...found].map(([id, entries]) => {
    const main = mainOf(entries);
    const number = Number(variableOf(entries, GENERATION_VARIABLE));
    return {
      ...generationProcesses({ id, ...main }, members),
      number: number > 0 ? number : undefined,
      tag: variableOf(entries, TAG_VARIABLE),
      directory: basename(variableOf(entries, RELEASE_VARIABLE)),
    };
  });
}

/** The oldest process whose parent is not among them. The main process itself may have exited. */
function mainOf(entries: readonly ProcessEntry[]): ProcessEntry {
  const pids = new Set(entries.map(({ pid }) => pid));
  return entries
    .filter(({ parent }) => !pids.has(parent))
    .reduce((a, b) => (Number(b.startTime) < Number(a.startTime) ? b : a));
}

/** Some programs overwrite their environment, so every process is tried. */
function variableOf(entries: readonly ProcessEntry[], name: string): string {
  for (const { pid } of entries) {
    const value = environmentOf(pid)?.get(name);
    if (value !== undefined) return value;
  }
  return "";
}
