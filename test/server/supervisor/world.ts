import type { Clock } from "../../../src/core/clock.ts";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { GenerationExit } from "../../../src/server/generation/command.ts";
import type { Generation, Member } from "../../../src/server/supervisor/generation.ts";
import type { Handoff } from "../../../src/server/supervisor/handoff.ts";
import { Supervisor, type SupervisorOptions } from "../../../src/server/supervisor/supervisor.ts";
import { hastyClock } from "../../fakes/clock.ts";

/** A generation in memory; the test ends it. */
export interface FakeGeneration extends Generation {
  exit(exit?: Partial<GenerationExit>): void;
  signals: string[];
  hints: string[];
  isAlive(): boolean;
  main: Member;
  /** Whether it exits on a signal. */
  obeys: boolean;
}

/** A supervisor without processes. */
export interface SupervisorWorld {
  clock: Clock;
  supervisor: Supervisor;
  events: DewyEvent[];
  generations: FakeGeneration[];
  loops: string[];
  /** Tags whose generations exit at once. */
  broken: Set<string>;
}

/** Its generations are in memory, and its clock jumps whenever nothing else is left to do. */
export function world(
  over: Partial<Omit<SupervisorOptions, "handoff">> & { handoff?: Partial<Handoff> } = {},
): SupervisorWorld {
  const events: DewyEvent[] = [];
  const generations: FakeGeneration[] = [];
  const loops: string[] = [];
  const broken = new Set<string>();
  const { handoff, ...options } = over;
  const clock = hastyClock();
  const supervisor = new Supervisor({
    start: async (release, number, endpoint) => {
      const generation = fakeGeneration(release, number, endpoint, clock.now());
      generations.push(generation);
      if (broken.has(release.tag)) generation.exit({ code: 3 });
      return generation;
    },
    handoff: {
      overlaps: true,
      settleMs: 0,
      prepare: async () => ({ sockets: [], env: {} }),
      switchTo: () => {},
      stopAccepting: () => {},
      drain: async () => {},
      closeConnections: async () => {},
      close: async () => {},
      ...handoff,
    },
    readiness: {
      afterMs: 10,
      timeoutMs: 1_000,
      mayFinish: options.restart === "on-failure",
      clock,
    },
    signalOnTerm: "SIGTERM",
    overlapMs: 5_000,
    drainMs: 200,
    restart: "always",
    stopping: new AbortController().signal,
    onCrashLoop: ({ release, crashes, reason }) =>
      loops.push(`${release.tag}: ${crashes} times, ${reason}`),
    clock,
    emit: (event) => events.push(event),
    ...options,
  });
  return { clock, supervisor, events, generations, loops, broken };
}

export function fakeGeneration(
  release: Generation["release"],
  number: number,
  endpoint: Generation["endpoint"],
  startedAt: number,
): FakeGeneration {
  let alive = true;
  let resolveExit: (exit: GenerationExit) => void = () => {};
  const exited = new Promise<GenerationExit>((resolve) => {
    resolveExit = resolve;
  });
  const generation: FakeGeneration = {
    number,
    release,
    endpoint,
    startedAt,
    pid: 1000 + number,
    get hasEnded() {
      return !alive;
    },
    exited,
    reportedReady: new Promise(() => {}),
    signals: [],
    obeys: true,
    lastLines: () => ["panic: no database"],
    output: () => [`hello from ${number}`],
    hints: [],
    isAlive: () => alive,
    isRunning: () => alive,
    members: async () => (alive ? [generation.main] : []),
    signal: (name) => {
      generation.signals.push(name);
      if (generation.obeys) generation.exit({ code: 0 });
    },
    kill: async () => {
      if (!alive) return;
      generation.signals.push("KILL");
      generation.exit({ code: null, signal: "SIGKILL" });
    },
    main: {
      pid: 1000 + number,
      name: "app",
      parent: 1,
      group: 1000 + number,
      isRunning: () => alive,
      signal: (name) => generation.signal(name),
    },
    exit: (exit = {}) => {
      alive = false;
      resolveExit({ code: null, signal: null, ...exit });
    },
  };
  return generation;
}

/** Waits for a condition. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 45_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error("did not come");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
