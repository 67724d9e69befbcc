import { describe, expect, it } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import type { Exit, Generation } from "../../../src/deployers/server/generation.ts";
import type { Handoff } from "../../../src/deployers/server/handoff.ts";
import { Supervisor, type SupervisorOptions } from "../../../src/deployers/server/supervisor.ts";
import { eventsOf } from "../../deploy/world.ts";
import { hastyClock } from "../../fakes/clock.ts";

interface FakeGeneration extends Generation {
  exit(exit?: Partial<Exit>): void;
  signals: string[];
  /** Whether it ends when it is asked to. */
  obeys: boolean;
}

interface World {
  supervisor: Supervisor;
  events: DewyEvent[];
  generations: FakeGeneration[];
  loops: string[];
  /** Releases whose generations end at once. */
  broken: Set<string>;
}

const never = new AbortController().signal;
const v1 = { tag: "v1.0.0", directory: "d1" };
const v2 = { tag: "v1.1.0", directory: "d2" };

function world(
  over: Partial<Omit<SupervisorOptions, "handoff">> & { handoff?: Partial<Handoff> } = {},
): World {
  const events: DewyEvent[] = [];
  const generations: FakeGeneration[] = [];
  const loops: string[] = [];
  const broken = new Set<string>();
  const { handoff, ...options } = over;
  const clock = hastyClock();
  const supervisor = new Supervisor({
    start: async (release, number, place) => {
      const generation = fakeGeneration(release, number, place, clock.now());
      generations.push(generation);
      if (broken.has(release.tag)) generation.exit({ code: 3 });
      return generation;
    },
    handoff: {
      overlaps: true,
      settleMs: 0,
      prepare: async () => ({ sockets: [], env: {} }),
      take: () => {},
      drain: async () => {},
      close: async () => {},
      ...handoff,
    },
    readiness: { afterMs: 10, timeoutMs: 1_000, clock },
    signalOnTerm: "SIGTERM",
    drainMs: 200,
    restart: "always",
    onCrashLoop: (release, reason) => loops.push(`${release.tag}: ${reason}`),
    clock,
    emit: (event) => events.push(event),
    ...options,
  });
  return { supervisor, events, generations, loops, broken };
}

function fakeGeneration(
  release: Generation["release"],
  number: number,
  place: Generation["place"],
  startedAt: number,
): FakeGeneration {
  let alive = true;
  let resolveExit: (exit: Exit) => void = () => {};
  const exited = new Promise<Exit>((resolve) => {
    resolveExit = resolve;
  });
  const generation: FakeGeneration = {
    number,
    release,
    place,
    startedAt,
    pid: 1000 + number,
    exited,
    saidReady: new Promise(() => {}),
    signals: [],
    obeys: true,
    lastLines: () => ["panic: no database"],
    isAlive: () => alive,
    signal: (name) => {
      generation.signals.push(name);
      if (generation.obeys) generation.exit({ code: 0 });
    },
    killGroup: () => {
      if (!alive) return;
      generation.signals.push("KILL");
      generation.exit({ code: null, signal: "SIGKILL" });
    },
    exit: (exit = {}) => {
      alive = false;
      resolveExit({ code: null, signal: null, ...exit });
    },
  };
  return generation;
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("did not come");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("Supervisor.replace", () => {
  it("lets the old generation serve until the new one is ready, then ends it", async () => {
    const { supervisor, generations } = world();
    await supervisor.replace(v1, never);
    await supervisor.replace(v2, never);
    const [first, second] = generations;
    await until(() => first?.isAlive() === false);
    expect(first?.signals).toEqual(["SIGTERM"]);
    expect(second?.isAlive()).toBe(true);
    expect(supervisor.release).toEqual(v2);
  });

  it("keeps the old one, untouched, when the new one ends before it is ready, and says what it wrote", async () => {
    const { supervisor, generations, broken } = world();
    await supervisor.replace(v1, never);
    broken.add("v1.1.0");
    const error = await supervisor.replace(v2, never).catch((e: unknown) => e);
    expect(String(error)).toContain("exit code 3");
    expect(String(error)).toContain("panic: no database");
    expect(generations[0]?.signals).toEqual([]);
    expect(supervisor.release).toEqual(v1);
  });

  it("kills a new one that does not become ready in time", async () => {
    const ready = (): Promise<void> => new Promise(() => {});
    const { supervisor, generations } = world({ handoff: { ready } });
    await expect(supervisor.replace(v1, never)).rejects.toThrow("not ready within 1 s");
    expect(generations[0]?.signals).toEqual(["KILL"]);
  });

  it("kills the group of an old one that does not end in time", async () => {
    const { supervisor, generations, events } = world();
    await supervisor.replace(v1, never);
    const [first] = generations;
    if (first !== undefined) first.obeys = false;
    await supervisor.replace(v2, never);
    await until(() => eventsOf(events, "drained").length === 1);
    expect(first?.signals).toEqual(["SIGTERM", "KILL"]);
    expect(eventsOf(events, "drained")).toMatchObject([{ generation: 1, killed: true }]);
  });

  it("ends the old one first where two cannot run side by side, and brings it back when the new one fails", async () => {
    const { supervisor, generations, broken } = world({ handoff: { overlaps: false } });
    await supervisor.replace(v1, never);
    broken.add("v1.1.0");
    await expect(supervisor.replace(v2, never)).rejects.toThrow("exit code 3");
    expect(generations.map(({ release }) => release.tag)).toEqual(["v1.0.0", "v1.1.0", "v1.0.0"]);
    expect(generations[2]?.isAlive()).toBe(true);
    expect(supervisor.release).toEqual(v1);
  });

  it("stops waiting when it is told to, and leaves the old one alone", async () => {
    let isStuck = false;
    const ready = (): Promise<void> => (isStuck ? new Promise(() => {}) : Promise.resolve());
    const { supervisor, generations } = world({ handoff: { ready } });
    await supervisor.replace(v1, never);
    isStuck = true;
    const stop = new AbortController();
    const replacing = supervisor.replace(v2, stop.signal);
    await until(() => generations.length === 2);
    stop.abort();
    await expect(replacing).rejects.toMatchObject({ code: "aborted" });
    expect(generations[0]?.isAlive()).toBe(true);
    expect(generations[1]?.isAlive()).toBe(false);
  });
});

describe("Supervisor.bake", () => {
  it("is content with a generation that stays up", async () => {
    const { supervisor } = world();
    await supervisor.replace(v1, never);
    await expect(supervisor.bake(3_000)).resolves.toBeUndefined();
  });

  it("tells when it ends, and leaves the judgement to the caller", async () => {
    const { supervisor, generations, events } = world();
    await supervisor.replace(v1, never);
    const baking = supervisor.bake(30_000);
    generations[0]?.exit({ code: 1 });
    await expect(baking).rejects.toThrow("after it had taken over");
    expect(eventsOf(events, "app-exited")).toEqual([]);
    expect(generations).toHaveLength(1);
  });

  it("tells when it becomes unhealthy three times in a row", async () => {
    let checks = 0;
    const check = async (): Promise<void> => {
      checks += 1;
      if (checks !== 2) throw new Error("HTTP 500");
    };
    const { supervisor } = world({ handoff: { check } });
    await supervisor.replace(v1, never);
    await expect(supervisor.bake(60_000)).rejects.toThrow("unhealthy: HTTP 500");
    expect(checks).toBe(5);
  });
});

describe("Supervisor", () => {
  it("starts a crashed app again, with growing pauses, and tells its last lines", async () => {
    const { supervisor, generations, events } = world();
    await supervisor.replace(v1, never);
    generations[0]?.exit({ code: 1 });
    await until(() => generations.length === 2);
    await until(() => eventsOf(events, "generation-ready").length === 2);
    generations[1]?.exit({ code: 1 });
    await until(() => generations.length === 3);
    expect(eventsOf(events, "app-exited")).toMatchObject([
      { code: 1, restartInMs: 1_000, lastLines: ["panic: no database"] },
      { code: 1, restartInMs: 2_000 },
    ]);
  });

  it("calls for the previous release once when a release keeps crashing, and keeps trying", async () => {
    const { supervisor, generations, loops, broken } = world();
    await supervisor.replace(v1, never);
    broken.add("v1.0.0");
    generations[0]?.exit({ code: 1 });
    await until(() => generations.length >= 7);
    expect(loops).toHaveLength(1);
    expect(loops[0]).toContain("v1.0.0: it crashed 5 times");
    await supervisor.stop();
  });

  it("does not start an app again that ended well, with --restart on-failure", async () => {
    const { supervisor, generations, events } = world({ restart: "on-failure" });
    await supervisor.replace(v1, never);
    generations[0]?.exit({ code: 0 });
    await until(() => eventsOf(events, "app-exited").length === 1);
    expect(eventsOf(events, "app-exited")[0]?.restartInMs).toBeUndefined();
    generations.length = 0;
    await supervisor.stop();
    expect(generations).toEqual([]);
  });

  it("restarts the same release without a gap", async () => {
    const { supervisor, generations } = world();
    await supervisor.replace(v1, never);
    await supervisor.restart();
    expect(generations.map(({ release }) => release.tag)).toEqual(["v1.0.0", "v1.0.0"]);
    await until(() => generations[0]?.isAlive() === false);
    expect(generations[1]?.isAlive()).toBe(true);
  });

  it("ends everything when it is stopped, what is still finishing as well", async () => {
    const { supervisor, generations } = world();
    await supervisor.replace(v1, never);
    const [first] = generations;
    if (first !== undefined) first.obeys = false;
    await supervisor.replace(v2, never);
    await supervisor.stop();
    expect(generations.map((generation) => generation.isAlive())).toEqual([false, false]);
  });

  it("does not take an end that it asked for, for a crash", async () => {
    const { supervisor, events } = world();
    await supervisor.replace(v1, never);
    await supervisor.stop();
    expect(eventsOf(events, "app-exited")).toEqual([]);
  });
});
