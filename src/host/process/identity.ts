import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { hasEnded, readStat, START_TIME } from "./table.ts";

/** The start time of a process that has ended: equal to no other, and to that of no running one. */
const ENDED = "ended";

/**
 * When a process was started, in the system's own notation: together with the pid it names a process
 * for ever, while a pid alone is used again.
 *
 * @param pid the process.
 * @returns an opaque text, or `undefined` when there is no such process or the system does not tell.
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

/**
 * Whether a process runs that has this pid and was started at this time.
 *
 * @param pid the process.
 * @param startTime from {@link processStartTime}; `undefined` when the system did not tell.
 * @returns false when it has ended or the pid belongs to another process by now.
 */
export function isRunning(pid: number, startTime: string | undefined): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, as somebody else.
    const denied = typeof error === "object" && error !== null && "code" in error;
    if (!denied || error.code !== "EPERM") return false;
  }
  const now = processStartTime(pid);
  if (now === ENDED) return false;
  return startTime === undefined || now === undefined || now === startTime;
}

/**
 * Identifies this start of the kernel.
 *
 * @returns an opaque text that differs after every start of the machine; `undefined` where the system has none.
 */
export function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}

/**
 * Identifies the PID namespace of this process: only within one does a pid name the same process.
 *
 * @returns an opaque text; `undefined` where the system has none.
 */
export function pidNamespace(): string | undefined {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return undefined;
  }
}
