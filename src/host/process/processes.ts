import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { systemCode } from "../files/atomic_file.ts";
import { helperEnvironment } from "./helper_environment.ts";

export interface ProcessEntry {
  readonly pid: number;
  /** The name of its program, cut to 15 characters. */
  readonly name: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly startTime: string;
}

/** Without zombies: as the first process of a container, dewy is the parent of processes that it did not start. */
export function processTable(): ReadonlyMap<number, ProcessEntry> {
  const table = new Map<number, ProcessEntry>();
  for (const pid of pids()) {
    const entry = processEntry(pid);
    if (entry !== undefined) table.set(pid, entry);
  }
  return table;
}

/** Empty without `/proc`. */
export function pids(): readonly number[] {
  return namesIn("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

export function namesIn(directory: string): readonly string[] {
  return tryRead(() => readdirSync(directory)) ?? [];
}

/** For files that may vanish, or that this user may not read. */
export function tryRead<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
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

/**
 * The fields begin with the state, after the name, which may contain spaces and parentheses.
 * https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
function readStat(pid: number): { name: string; fields: readonly string[] } | undefined {
  const stat = tryRead(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  if (stat === undefined) return undefined;
  const end = stat.lastIndexOf(")");
  const name = stat.slice(stat.indexOf("(") + 1, end);
  return { name, fields: stat.slice(end + 2).split(" ") };
}

/** The other threads of a killed process still finish their system calls after the first one has exited. */
function hasEnded(fields: readonly string[]): boolean {
  return (fields[0] === "Z" || fields[0] === "X") && Number(fields[17]) <= 1;
}

const ENDED = "ended";

/** An opaque text: a pid is reused, a pid with its start time is unique. `undefined` if the system does not say. */
export function processStartTime(pid: number): string | undefined {
  const stat = readStat(pid);
  if (stat === undefined) return process.platform === "linux" ? undefined : startTimeByPs(pid);
  return hasEnded(stat.fields) ? ENDED : stat.fields[START_TIME];
}

function startTimeByPs(pid: number): string | undefined {
  const args = ["-o", "lstart=", "-p", String(pid)];
  const output = tryRead(() =>
    execFileSync("ps", args, { timeout: 5_000, encoding: "utf8", env: helperEnvironment() }),
  );
  return output?.trim() || undefined;
}

/** Like {@link processStartTime}, but only from `/proc`, and that of a zombie, too. */
export function recordedStartTime(pid: number): string | undefined {
  return readStat(pid)?.fields[START_TIME];
}

/** An unknown start time matches every process. */
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
    return systemCode(error) === "EPERM"; // It runs as another user.
  }
}

/** Does nothing if the process has exited. */
export function signalProcess(pid: number, signal: string): void {
  tryRead(() => process.kill(pid, signal));
}

export function signalGroup(leader: number, signal: string): void {
  signalProcess(-leader, signal);
}

/** The environment that a process was started with; empty if the process has overwritten it. */
export function environmentOf(pid: number): ReadonlyMap<string, string> | undefined {
  const variables = tryRead(() => readFileSync(`/proc/${pid}/environ`, "utf8"));
  if (variables === undefined) return undefined;
  return new Map(
    variables.split("\0").flatMap((text) => {
      const at = text.indexOf("=");
      return at > 0 ? [[text.slice(0, at), text.slice(at + 1)] as const] : [];
    }),
  );
}

export function bootId(): string | undefined {
  return tryRead(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
}

/** A pid names the same process only within one namespace. */
export function pidNamespace(): string | undefined {
  return tryRead(() => readlinkSync("/proc/self/ns/pid"));
}
