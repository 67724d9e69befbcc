import { readdirSync, readFileSync } from "node:fs";

/**
 * Whether anything of a process group runs. A process that has ended and was not waited for does not count: as the
 * first process of a container, dewy may be the parent of nobody's children.
 *
 * @param leader the process that the group is named after.
 * @returns true while one of its processes runs.
 */
export function groupRuns(leader: number): boolean {
  try {
    process.kill(-leader, 0);
  } catch (error) {
    // EPERM: it runs, as somebody else.
    const denied = typeof error === "object" && error !== null && "code" in error;
    if (!denied || error.code !== "EPERM") return false;
  }
  if (process.platform !== "linux") return true;
  return isMember(String(leader), leader) || pids().some((pid) => isMember(pid, leader));
}

function pids(): readonly string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: state, parent and group follow the name. */
function isMember(pid: string, leader: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(group) === leader && state !== "Z" && state !== "X";
  } catch {
    return false;
  }
}
