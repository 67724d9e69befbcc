import type { Clock } from "../../core/clock.ts";

/** A process group that can be ended: a generation of ours, or an orphan of an earlier dewy. */
export interface Endable {
  readonly pid: number;
  /** Sends a signal to the main process. */
  signal(name: string): void;
  /** Ends everything that is left of the group, at once. */
  killGroup(): void;
  /** Whether anything of the group still runs. */
  isAlive(): boolean;
}

const LOOK_MS = 50;
/** What the kernel needs to clear away a killed group. */
const KILL_GRACE_MS = 5_000;

/**
 * Ends a generation: the signal to its main process, time to finish, then the end of whatever is left of its group.
 *
 * @param target the generation.
 * @param signalName what asks it to end, such as `SIGTERM`.
 * @param drainMs how long it may take.
 * @param clock time.
 * @returns whether something had to be killed.
 */
export async function retire(
  target: Endable,
  signalName: string,
  drainMs: number,
  clock: Clock,
): Promise<{ killed: boolean }> {
  target.signal(signalName);
  if (await ended(target, drainMs, clock)) return { killed: false };
  target.killGroup();
  await ended(target, KILL_GRACE_MS, clock);
  return { killed: true };
}

async function ended(target: Endable, withinMs: number, clock: Clock): Promise<boolean> {
  const deadline = clock.now() + withinMs;
  while (target.isAlive()) {
    if (clock.now() >= deadline) return false;
    await clock.sleep(Math.min(LOOK_MS, Math.max(1, deadline - clock.now())));
  }
  return true;
}
