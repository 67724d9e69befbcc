/**
 * Sends a signal to one process.
 *
 * @param pid the process.
 * @param signal its name: `SIGTERM`.
 */
export function signalProcess(pid: number, signal: string): void {
  send(pid, signal);
}

/**
 * Ends all processes of a group at once.
 *
 * @param leader the process that the group is named after.
 */
export function killGroup(leader: number): void {
  send(-leader, "SIGKILL");
}

function send(target: number, signal: string): void {
  try {
    process.kill(target, signal);
  } catch {
    // It has ended already.
  }
}
