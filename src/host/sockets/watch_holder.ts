import { isRunning, processStartTime } from "../process/processes.ts";

const LOOK_MS = 1_000;

/**
 * Ends this process as SIGKILL would when its holder has been killed: the launcher has said that dewy ended, and
 * whoever started it may start it again. The generation serves on, and is found by that one.
 *
 * @param holder the holder's pid.
 */
export function endWithHolder(holder: number): void {
  const startTime = processStartTime(holder);
  setInterval(() => {
    if (!isRunning(holder, startTime)) process.kill(process.pid, "SIGKILL");
  }, LOOK_MS).unref();
}
