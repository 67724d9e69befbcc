import type { Clock } from "../../core/clock.ts";
import type { AppRelease } from "../../deployers/runner.ts";
import { groupRuns, isRunning, signalGroup, signalProcess } from "../../host/process/processes.ts";
import type { GenerationExit } from "../generation/command.ts";
import type { GenerationMark, GenerationMembers } from "../generation/members.ts";
import type { Endpoint } from "./handoff.ts";

export interface Member {
  readonly pid: number;
  readonly name: string;
  readonly parent: number;
  readonly group: number;
  isRunning(): boolean;
  signal(name: string): void;
}

/** All processes of a generation, started by this or an earlier dewy process. */
export interface GenerationProcesses {
  /** The main process, which leads a process group. */
  readonly pid: number;
  /** Whether the main process runs. */
  isRunning(): boolean;
  /** Finds every running process of the generation, wherever it has moved. */
  members(): Promise<readonly Member[]>;
  signal(name: string): void;
  /** Kills everything; resolves when nothing is left, or after a timeout. */
  kill(): Promise<void>;
}

/** One start of the app. */
export interface Generation extends GenerationProcesses {
  /** Counts the starts from 1. */
  readonly number: number;
  readonly release: AppRelease;
  readonly endpoint: Endpoint;
  readonly startedAt: number;
  readonly hasEnded: boolean;
  readonly exited: Promise<GenerationExit>;
  /** Resolves when the app has reported its readiness. */
  readonly reportedReady: Promise<void>;
  lastLines(count: number): readonly string[];
  /** The end of its output, for people. */
  output(): readonly string[];
  /** Further explanations of its exit, as parts of a sentence; complete once it has exited. */
  readonly hints: readonly string[];
}

export type StartGeneration = (
  release: AppRelease,
  number: number,
  endpoint: Endpoint,
) => Promise<Generation>;

/** `exited with exit code 3` or `was ended by SIGSEGV`. */
export function describeExit({ code, signal }: GenerationExit): string {
  return code === null ? `was ended by ${signal ?? "a signal"}` : `exited with exit code ${code}`;
}

const KILL_POLL_MS = 20;
/** A process that hangs in the kernel cannot be waited for. */
const KILL_TIMEOUT_MS = 5_000;

/** A pid alone is never trusted, because it may have been reused. */
export function generationProcesses(
  { id, pid, startTime }: Pick<GenerationMark, "id" | "pid" | "startTime">,
  members: GenerationMembers,
): GenerationProcesses {
  // Without /proc, finding a start time requires a program.
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
  const isReused = (): boolean => isRunning(pid, undefined) && !isRunning(pid, startTime);
  return {
    pid,
    isRunning: () => runs(pid, startTime),
    members: find,
    signal: (name) => signal(pid, startTime, name),
    kill: async () => {
      if (!isReused()) signalGroup(pid, "SIGKILL");
      const deadline = performance.now() + KILL_TIMEOUT_MS;
      for (;;) {
        const left = await find();
        if (left.length === 0 || performance.now() > deadline) return;
        for (const member of left) member.signal("SIGKILL");
        await new Promise((resolve) => setTimeout(resolve, KILL_POLL_MS));
      }
    },
  };
}

const TERMINATE_POLL_MS = 50;

/**
 * Signals the main process, waits, then kills what is left. Once the main process has exited, background processes outside
 * of its process group get the signal as well, because nothing else would send it to them; they are returned.
 */
export async function terminate(
  target: GenerationProcesses,
  { signalName, graceMs, clock }: { signalName: string; graceMs: number; clock: Clock },
): Promise<{ killed: boolean; background: readonly Member[] }> {
  const deadline = clock.monotonic() + graceMs;
  const waitFor = async (hasEnded: () => boolean): Promise<void> => {
    for (
      let left = deadline - clock.monotonic();
      left > 0 && !hasEnded();
      left = deadline - clock.monotonic()
    ) {
      await clock.sleep(Math.min(TERMINATE_POLL_MS, left));
    }
  };
  const background = new Map<number, Member>();
  target.signal(signalName);
  await waitFor(() => !target.isRunning());
  let members = await target.members();
  while (members.length > 0 && clock.monotonic() < deadline) {
    const running = members;
    for (const member of detached(target, running)) {
      if (!background.has(member.pid)) member.signal(signalName);
      background.set(member.pid, member);
    }
    await waitFor(() => running.every((member) => !member.isRunning()));
    members = await target.members();
  }
  if (members.length === 0) return { killed: false, background: [...background.values()] };
  for (const member of detached(target, members)) background.set(member.pid, member);
  await target.kill();
  return { killed: true, background: [...background.values()] };
}

/** Members outside of the process group whose parent is not a running member. */
function detached({ pid }: GenerationProcesses, members: readonly Member[]): readonly Member[] {
  const pids = new Set(members.map((member) => member.pid));
  return members.filter(({ group, parent }) => group !== pid && !pids.has(parent));
}
