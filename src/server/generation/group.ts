import { processTable } from "../../host/process/processes.ts";

/**
 * Whether anything of a process group runs.
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
  return [...processTable().values()].some(({ group }) => group === leader);
}
