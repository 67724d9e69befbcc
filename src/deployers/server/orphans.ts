/**
 * Generations that an earlier dewy of the same directory has left behind: it was killed, they serve on.
 *
 * @module
 */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { groupRuns } from "../../host/generation_process_group.ts";
import { killGroup, signalProcess } from "../../host/process_group.ts";
import { isRunning, processStartTime } from "../../host/process_identity.ts";
import type { Endable } from "./retire.ts";

/** The main process of a generation that an earlier dewy has started. */
export interface Orphan extends Endable {
  /** Its tag; empty when that dewy did not know it. */
  readonly tag: string;
  /** The name of its release directory; empty when that dewy did not state it. */
  readonly directory: string;
}

/** Marks the processes of a working directory; every generation has it in its environment. */
export const ROOT_VARIABLE = "DEWY_ROOT";
const GENERATION_VARIABLE = "DEWY_GENERATION";
const TAG_VARIABLE = "DEWY_TAG";
/** Says which release a generation was started from. */
export const RELEASE_VARIABLE = "DEWY_RELEASE_DIR";

/**
 * Finds them by what they were started with. A pid is never trusted alone: environment and start time belong to one
 * process only.
 *
 * @param root the working directory.
 * @returns the main processes of the generations that still run; none where there is no `/proc`.
 */
export async function findOrphans(root: string): Promise<readonly Orphan[]> {
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => orphan(Number(pid), root)));
  return found.filter((one) => one !== undefined);
}

async function orphan(pid: number, root: string): Promise<Orphan | undefined> {
  if (pid === process.pid || !(await leadsGroup(pid))) return undefined;
  const environment = await readFile(join("/proc", String(pid), "environ"), "utf8").catch(() => "");
  const variables = new Map(
    environment.split("\0").map((text): [string, string] => {
      const at = text.indexOf("=");
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
  if (variables.get(ROOT_VARIABLE) !== root || !variables.has(GENERATION_VARIABLE))
    return undefined;
  const startTime = processStartTime(pid);
  // Its number stays taken as long as any process of its group runs; after that it may be anybody's.
  const isAlive = (): boolean => groupRuns(pid) && !isAnother(pid, startTime);
  return {
    pid,
    tag: variables.get(TAG_VARIABLE) ?? "",
    directory: basename(variables.get(RELEASE_VARIABLE) ?? ""),
    isAlive,
    signal: (name) => {
      if (isRunning(pid, startTime)) signalProcess(pid, name);
    },
    killGroup: () => {
      if (isAlive()) killGroup(pid);
    },
  };
}

function isAnother(pid: number, startTime: string | undefined): boolean {
  return isRunning(pid, undefined) && !isRunning(pid, startTime);
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: state, parent and group follow the name. */
async function leadsGroup(pid: number): Promise<boolean> {
  const stat = await readFile(join("/proc", String(pid), "stat"), "utf8").catch(() => "");
  const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state !== "Z" && Number(group) === pid;
}
