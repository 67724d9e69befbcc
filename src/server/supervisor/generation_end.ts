import { isRunning, signalGroup, signalProcess } from "../../host/process/processes.ts";
import { groupRuns } from "../generation/group.ts";
import type { GenerationMark, GenerationMembers } from "../generation/members.ts";
import type { Endable, Member } from "./retire.ts";

const LOOK_MS = 20;
/** What the kernel needs to clear away killed processes; those that hang in it cannot be waited for. */
const KILL_GRACE_MS = 5_000;

/**
 * Makes a handle to all processes of a generation. A pid is never trusted alone: its number may be another process's by
 * now.
 *
 * @param generation its id and its main process.
 * @param members finds its processes.
 * @returns the handle.
 */
export function endable(
  { id, pid, startTime }: Pick<GenerationMark, "id" | "pid" | "startTime">,
  members: GenerationMembers,
): Endable {
  // Where there is no /proc, finding out when a process was started takes a program.
  const runs = (one: number, start: string): boolean =>
    process.platform === "linux" ? isRunning(one, start) : groupRuns(one);
  const signal = (one: number, start: string, name: string): void => {
    if (runs(one, start)) signalProcess(one, name);
  };
  const find = async (): Promise<readonly Member[]> => {
    const found = await members.of(id);
    if (found.length === 0 && !runs(pid, startTime)) members.remove(id);
    return found.map((entry) => ({
      ...entry,
      isRunning: () => runs(entry.pid, entry.startTime),
      signal: (name) => signal(entry.pid, entry.startTime, name),
    }));
  };
  const isAnother = (): boolean => isRunning(pid, undefined) && !isRunning(pid, startTime);
  return {
    pid,
    isRunning: () => runs(pid, startTime),
    members: find,
    signal: (name) => signal(pid, startTime, name),
    kill: async () => {
      if (!isAnother()) signalGroup(pid, "SIGKILL");
      const deadline = performance.now() + KILL_GRACE_MS;
      for (;;) {
        const left = await find();
        if (left.length === 0 || performance.now() > deadline) return;
        for (const member of left) member.signal("SIGKILL");
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    },
  };
}
