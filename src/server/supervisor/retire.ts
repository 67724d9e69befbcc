import type { Clock } from "../../core/clock.ts";

/** A process that came from a generation. */
export interface Member {
  readonly pid: number;
  /** The name of its program. */
  readonly name: string;
  readonly parent: number;
  readonly group: number;
  isRunning(): boolean;
  signal(name: string): void;
}

/** All processes of a generation: one of ours, or an orphan of an earlier dewy. */
export interface Endable {
  /** The main process, which leads a process group. */
  readonly pid: number;
  /** Whether the main process runs. */
  isRunning(): boolean;
  /** Finds everything that came from the generation and runs, wherever it has gone. */
  members(): Promise<readonly Member[]>;
  /** Sends a signal to the main process. */
  signal(name: string): void;
  /** Ends everything at once; resolves when nothing is left, or after some seconds. */
  kill(): Promise<void>;
}

/** How a generation was ended. */
export interface Retired {
  /** Whether something had to be killed. */
  killed: boolean;
  /** What had left its process group and ran on after its main process. */
  background: readonly Member[];
}

const LOOK_MS = 50;

/**
 * Ends a generation: the signal to its main process, time to finish, then the end of whatever is left. What runs on
 * outside of its process group when the main process has ended gets the signal as well: nobody else is left to send it.
 *
 * @param target the generation.
 * @param signalName what asks it to end, such as `SIGTERM`.
 * @param drainMs how long it may take.
 * @param clock time.
 * @returns how it was ended.
 */
export async function retire(
  target: Endable,
  signalName: string,
  drainMs: number,
  clock: Clock,
): Promise<Retired> {
  const deadline = clock.monotonic() + drainMs;
  const waitFor = async (hasEnded: () => boolean): Promise<void> => {
    for (
      let left = deadline - clock.monotonic();
      left > 0 && !hasEnded();
      left = deadline - clock.monotonic()
    ) {
      await clock.sleep(Math.min(LOOK_MS, left));
    }
  };
  const background = new Map<number, Member>();
  target.signal(signalName);
  await waitFor(() => !target.isRunning());
  let members = await target.members();
  while (members.length > 0 && clock.monotonic() < deadline) {
    const running = members;
    for (const member of outside(target, running)) {
      if (!background.has(member.pid)) member.signal(signalName);
      background.set(member.pid, member);
    }
    await waitFor(() => running.every((member) => !member.isRunning()));
    members = await target.members();
  }
  if (members.length === 0) return { killed: false, background: [...background.values()] };
  for (const member of outside(target, members)) background.set(member.pid, member);
  await target.kill();
  return { killed: true, background: [...background.values()] };
}

/** Those that nothing of the generation has started that still runs. */
function outside({ pid }: Endable, members: readonly Member[]): readonly Member[] {
  const pids = new Set(members.map((member) => member.pid));
  return members.filter(({ group, parent }) => group !== pid && !pids.has(parent));
}
