import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A running process, as `/proc/PID/stat` describes it. */
export interface ProcessEntry {
  readonly pid: number;
  /** The name of its program, cut to 15 characters. */
  readonly name: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly startTime: string;
}

/**
 * Lists running processes by pid; empty where there is no `/proc`. Zombies are left out: as the first process of a
 * container, dewy may be the parent of processes that it did not start.
 */
export function processTable(): ReadonlyMap<number, ProcessEntry> {
  const table = new Map<number, ProcessEntry>();
  for (const name of entriesOf("/proc")) {
    const entry = /^\d+$/.test(name) ? processEntry(Number(name)) : undefined;
    if (entry !== undefined) table.set(entry.pid, entry);
  }
  return table;
}

function entriesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function processEntry(pid: number): ProcessEntry | undefined {
  const stat = readStat(pid);
  if (stat === undefined || hasEnded(stat.fields)) return undefined;
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

const START_TIME = 19;

interface Stat {
  name: string;
  /** The fields after the name, beginning with the state. */
  fields: readonly string[];
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
function readStat(pid: number): Stat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name may contain spaces and parentheses.
    const end = stat.lastIndexOf(")");
    const name = stat.slice(stat.indexOf("(") + 1, end);
    return { name, fields: stat.slice(end + 2).split(" ") };
  } catch {
    return undefined;
  }
}

/**
 * Whether a process has exited, reaped or not. As long as it has other threads, only its first thread has: a killed
 * process still finishes their system calls.
 */
function hasEnded(fields: readonly string[]): boolean {
  return (fields[0] === "Z" || fields[0] === "X") && Number(fields[17]) <= 1;
}

/** The start time of a zombie. It differs from that of every running process. */
const ENDED = "ended";

/**
 * Returns when a process was started, as an opaque text. A pid is reused; a pid with its start time is unique. Returns
 * `undefined` if there is no such process or the system does not say.
 */
export function processStartTime(pid: number): string | undefined {
  const stat = readStat(pid);
  if (stat === undefined) return process.platform === "linux" ? undefined : startTimeByPs(pid);
  return hasEnded(stat.fields) ? ENDED : stat.fields[START_TIME];
}

function startTimeByPs(pid: number): string | undefined {
  try {
    const output = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
      timeout: 5_000,
      encoding: "utf8",
    });
    return output.trim() || undefined;
  } catch {
    return undefined;
  }
}

/** Like {@link processStartTime}, but only from `/proc`, and that of a zombie, too. */
export function recordedStartTime(pid: number): string | undefined {
  return readStat(pid)?.fields[START_TIME];
}

/** Whether the process with this pid runs and was started at this time; an unknown time matches every process. */
export function isRunning(pid: number, startTime: string | undefined): boolean {
  if (!acceptsSignals(pid)) return false;
  const now = processStartTime(pid);
  if (now === ENDED) return false;
  return startTime === undefined || now === undefined || now === startTime;
}

export function groupRuns(leader: number): boolean {
  if (!acceptsSignals(-leader)) return false;
  if (process.platform !== "linux") return true;
  return [...processTable().values()].some(({ group }) => group === leader);
}

function acceptsSignals(target: number): boolean {
  try {
    process.kill(target, 0);
    return true;
  } catch (error) {
    // EPERM: it runs as another user.
    return typeof error === "object" && error !== null && "code" in error && error.code === "EPERM";
  }
}

export function signalProcess(pid: number, signal: string): void {
  send(pid, signal);
}

export function signalGroup(leader: number, signal: string): void {
  send(-leader, signal);
}

function send(target: number, signal: string): void {
  try {
    process.kill(target, signal);
  } catch {
    // It has exited already.
  }
}

/**
 * Returns the environment that a process was started with: empty if the process has overwritten it, `undefined` if it
 * cannot be read.
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

/** Identifies this boot of the kernel; `undefined` where the system has no such id. */
export function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Identifies dewy's PID namespace: a pid names the same process only within one namespace. */
export function pidNamespace(): string | undefined {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return undefined;
  }
}
