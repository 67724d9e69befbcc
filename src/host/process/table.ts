import { readdirSync, readFileSync } from "node:fs";

/** A process that runs, as `/proc/PID/stat` describes it. */
export interface ProcessEntry {
  readonly pid: number;
  /** The name of its program, cut to 15 characters. */
  readonly name: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** See `processStartTime`. */
  readonly startTime: string;
}

/**
 * Lists the processes that run. A process that has ended and was not waited for does not count: as the first process
 * of a container, dewy may be the parent of nobody's children.
 *
 * @returns the processes by pid; none where there is no `/proc`.
 */
export function processTable(): ReadonlyMap<number, ProcessEntry> {
  const table = new Map<number, ProcessEntry>();
  for (const name of entriesOf("/proc")) {
    const entry = /^\d+$/.test(name) ? processEntry(Number(name)) : undefined;
    if (entry !== undefined) table.set(entry.pid, entry);
  }
  return table;
}

function processEntry(pid: number): ProcessEntry | undefined {
  const stat = readStat(pid);
  if (stat === undefined) return undefined;
  if (hasEnded(stat.fields)) return undefined;
  const [, parent, group, session] = stat.fields;
  return {
    pid,
    name: stat.name,
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
    startTime: stat.fields[START_TIME] ?? "",
  };
}

/** The start time among the fields of {@link readStat}. */
export const START_TIME = 19;

/**
 * Reads what the kernel says of a process. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 *
 * @param pid the process.
 * @returns its name and the fields behind that, from the state on; `undefined` when there is no such process.
 */
export function readStat(pid: number): { name: string; fields: readonly string[] } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name may hold blanks and parentheses.
    const end = stat.lastIndexOf(")");
    const name = stat.slice(stat.indexOf("(") + 1, end);
    return { name, fields: stat.slice(end + 2).split(" ") };
  } catch {
    return undefined;
  }
}

/**
 * When a process was started, also one that has ended and was not waited for; see `processStartTime`.
 *
 * @param pid the process.
 * @returns `undefined` when there is no such process, or where there is no `/proc`.
 */
export function startTimeOf(pid: number): string | undefined {
  return readStat(pid)?.fields[START_TIME];
}

/**
 * Whether a process has ended, though its parent may not have asked how. With threads left, only its first one has: a
 * killed process still finishes the system calls of the others.
 *
 * @param fields from {@link readStat}.
 */
export function hasEnded(fields: readonly string[]): boolean {
  return (fields[0] === "Z" || fields[0] === "X") && Number(fields[17]) <= 1;
}

function entriesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
