import { describe, expect, it } from "vitest";
import { DeployError, HostError, NotFoundError, RemoteError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import {
  type LoopOptions,
  type PollOutcome,
  pollLoop,
  type WakeListener,
} from "../../src/deploy/loop.ts";
import { fakeClock } from "../fakes/clock.ts";
import { runCase, runtimes } from "../runtime/runtimes.ts";
import { eventsOf, jumpingClock } from "./world.ts";

const START = Date.UTC(2026, 0, 1);

/** An error: the registry cannot be asked. */
type Outcome = PollOutcome | Error;

/** Runs the loop for the given rounds and tells the pauses between them. */
async function pausesAfter(
  outcomes: readonly Outcome[],
  over: Partial<LoopOptions> = {},
): Promise<{ pauses: number[]; events: DewyEvent[] }> {
  const clock = jumpingClock(START);
  const stop = new AbortController();
  const events: DewyEvent[] = [];
  const left = [...outcomes];
  await pollLoop({
    poll: async () => {
      const outcome = left.shift() ?? fine;
      if (left.length === 0) queueMicrotask(() => queueMicrotask(() => stop.abort()));
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
    intervalMs: 10_000,
    onWake: () => () => {},
    clock,
    emit: (event) => events.push(event),
    signal: stop.signal,
    random: () => 0.5,
    ...over,
  });
  return { pauses: clock.slept.slice(0, outcomes.length - 1), events };
}

const fine: PollOutcome = { kind: "fine" };
const down = new RemoteError("down");
const problem: PollOutcome = { kind: "problem", error: new NotFoundError("nothing there") };
const full = new HostError("the disk is full");

/** A version that failed, to be tried again at so many milliseconds after the start. */
function failed(retryAt: number | undefined, error: HostError | DeployError = full): PollOutcome {
  return {
    kind: "failed",
    tag: "v1.0.0",
    error,
    retryAt: retryAt === undefined ? undefined : START + retryAt,
  };
}

function waiting(retryAt: number): PollOutcome {
  return { kind: "waiting", retryAt: START + retryAt };
}

describe("pollLoop", () => {
  it("polls at a steady interval while polls succeed", async () => {
    const { pauses } = await pausesAfter([fine, fine, fine]);
    expect(pauses).toEqual([10_000, 10_000]);
  });

  it("backs off up to five minutes while the registry fails, then returns to the interval", async () => {
    const { pauses } = await pausesAfter([...Array(7).fill(down), fine, fine]);
    expect(pauses).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 10_000]);
  });

  it("reports an outcome that comes after the poll, without changing the interval", async () => {
    const stop = new AbortController();
    let tell = (_outcome: PollOutcome): void => {};
    const outcomes: PollOutcome[] = [{ kind: "waiting" }, { kind: "waiting" }, fine];
    const { pauses, events } = await pausesAfter([fine, fine, fine], {
      poll: async (_, report) => {
        tell(failed(undefined));
        tell = report;
        const outcome = outcomes.shift() ?? fine;
        if (outcomes.length === 0) stop.abort();
        return outcome;
      },
      signal: stop.signal,
    });
    expect(pauses).toEqual([10_000, 10_000]);
    expect(eventsOf(events, "failed").map(({ tag, count }) => `${tag} ${count}`)).toEqual([
      "v1.0.0 1",
      "v1.0.0 2",
    ]);
  });

  it("keeps the interval while there is nothing to deploy or a version fails", async () => {
    const steps = [problem, problem, failed(undefined), failed(undefined), fine];
    expect((await pausesAfter(steps)).pauses).toEqual([10_000, 10_000, 10_000, 10_000]);
  });

  it("returns to the interval once the registry answers, whatever the answer", async () => {
    const { pauses } = await pausesAfter([down, down, problem, down, fine]);
    expect(pauses).toEqual([10_000, 20_000, 10_000, 10_000]);
  });

  it("polls at the interval while a version waits, and exactly when its retry is due", async () => {
    const at = 33_000;
    const { pauses } = await pausesAfter([failed(at), waiting(at), waiting(at), fine]);
    expect(pauses).toEqual([10_000, 10_000, 13_000]);
  });

  it("polls exactly when an available version may come, and at the interval before", async () => {
    const young: PollOutcome = { kind: "fine", retryAt: START + 33_000 };
    const { pauses, events } = await pausesAfter([young, young, young, fine, fine]);
    expect(pauses).toEqual([10_000, 10_000, 13_000, 10_000]);
    expect(eventsOf(events, "failed")).toEqual([]);
  });

  it("counts a poll that ends with a wait as a success", async () => {
    const young: PollOutcome = { kind: "fine", retryAt: START + 900_000 };
    const { events } = await pausesAfter([down, young, fine]);
    expect(eventsOf(events, "succeeded-again")).toMatchObject([{ after: 1 }]);
  });

  it("reports when a version is retried, or that it is not retried", async () => {
    const { events } = await pausesAfter([failed(33_000), failed(undefined), problem, down, fine]);
    expect(eventsOf(events, "failed")).toMatchObject([
      { tag: "v1.0.0", retryInMs: 33_000, count: 1 },
      { tag: "v1.0.0", retryInMs: undefined, count: 2 },
      { tag: undefined, retryInMs: 10_000, count: 3 },
      { tag: undefined, retryInMs: 10_000, count: 4 },
    ]);
  });

  it("never polls earlier than the registry asked, even if the request is the cause of a failed deploy", async () => {
    const limited = new RemoteError("slow down", { retryAfterMs: 900_000 });
    const hidden = new DeployError("stage", "no", { cause: limited });
    const { pauses, events } = await pausesAfter([limited, failed(2_000_000, hidden), fine]);
    expect(pauses).toEqual([945_000, 2_000_000 - 945_000]);
    expect(eventsOf(events, "failed").map(({ retryInMs }) => retryInMs)).toEqual(pauses);
  });

  it("adds jitter to the polls of many machines", async () => {
    const low = await pausesAfter([fine, fine], { random: () => 0 });
    const high = await pausesAfter([fine, fine], { random: () => 0.999 });
    expect(low.pauses[0]).toBe(9_000);
    expect(high.pauses[0]).toBeGreaterThan(10_900);
  });

  it("reports every failure with its count, marks repeated ones, and reports the recovery", async () => {
    const { events } = await pausesAfter([
      down,
      down,
      failed(1),
      problem,
      fine,
      problem,
      fine,
      fine,
    ]);
    expect(eventsOf(events, "failed").map(({ count, isRepeated }) => [count, isRepeated])).toEqual([
      [1, undefined],
      [2, true],
      [3, undefined],
      [4, undefined],
      [1, undefined],
    ]);
    expect(eventsOf(events, "succeeded-again")).toMatchObject([{ after: 4 }, { after: 1 }]);
  });

  it("reports a lasting failure once an hour", async () => {
    const { events } = await pausesAfter(Array.from({ length: 40 }, () => down));
    const told = eventsOf(events, "failed").filter(({ isRepeated }) => isRepeated !== true);
    const waited = (count: number): number =>
      eventsOf(events, "failed")
        .slice(0, count - 1)
        .reduce((sum, { retryInMs = 0 }) => sum + retryInMs, 0);
    expect(told.length).toBeGreaterThan(2);
    const times = told.map(({ count }) => waited(count));
    for (const [index, at] of times.slice(1).entries()) {
      expect(at - (times[index] ?? 0)).toBeGreaterThanOrEqual(3_600_000);
      expect(at - (times[index] ?? 0)).toBeLessThan(3_600_000 + 400_000);
    }
  });

  it("counts a waiting version neither as a failure nor as a success", async () => {
    const rounds = [failed(20_000), waiting(20_000), failed(60_000), waiting(60_000), fine];
    const { events } = await pausesAfter([...rounds, fine]);
    const told = events.filter(({ type }) => type !== "polled");
    expect(told.map((event) => [event.type, "count" in event && event.count])).toEqual([
      ["failed", 1],
      ["failed", 2],
      ["succeeded-again", false],
    ]);
  });

  it("reports how each poll ended, and when the next one comes", async () => {
    const { events } = await pausesAfter([fine, down, problem, fine]);
    expect(eventsOf(events, "polled")).toEqual([
      { type: "polled", outcome: "fine", error: undefined, nextAt: new Date(START + 10_000) },
      { type: "polled", outcome: "unreachable", error: "down", nextAt: new Date(START + 20_000) },
      {
        type: "polled",
        outcome: "problem",
        error: "nothing there",
        nextAt: new Date(START + 30_000),
      },
    ]);
  });

  it("reports a version that is held back as waiting, but not one that is baking", async () => {
    const held: PollOutcome = { kind: "fine", isHolding: true };
    const { events } = await pausesAfter([held, { kind: "waiting" }, fine, fine]);
    const outcomes = eventsOf(events, "polled").map(({ outcome, isOpen }) => [outcome, isOpen]);
    expect(outcomes).toEqual([
      ["waiting", undefined],
      ["fine", true],
      ["fine", undefined],
    ]);
  });

  it("reports a version that waits for its retry as failed", async () => {
    const retried: PollOutcome = { kind: "waiting", retryAt: START + 20_000, failedWith: "full" };
    const { events } = await pausesAfter([retried, fine]);
    expect(eventsOf(events, "polled")).toMatchObject([{ outcome: "failed", error: "full" }]);
    expect(eventsOf(events, "failed")).toEqual([]);
  });

  it("leaves no listeners on the signal, however often it polls", async () => {
    const [node] = runtimes;
    if (node === undefined) throw new Error("Node is not among the runtimes");
    const { stdout, stderr } = await runCase(node, "test/deploy/loop_heap.ts");
    expect(stderr).toBe("");
    expect(Number(stdout)).toBeLessThan(10);
  });

  it("continues after an unexpected failure", async () => {
    const { events } = await pausesAfter([new TypeError("a bug"), fine]);
    expect(eventsOf(events, "failed")).toMatchObject([{ error: { code: "host" } }]);
  });

  it("polls at once after a wake: in a pause, and after the poll during which the wake came", async () => {
    const stop = new AbortController();
    const clock = fakeClock();
    const listeners = new Set<() => void>();
    const wake = (): void => {
      for (const listener of listeners) listener();
    };
    let rounds = 0;
    const ended = pollLoop({
      poll: async () => {
        rounds += 1;
        if (rounds === 1 || rounds === 4) wake();
        return fine;
      },
      intervalMs: 3_600_000,
      onWake: (listener) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      clock,
      emit: () => {},
      signal: stop.signal,
      random: () => 0.5,
    });
    await until(() => rounds === 2);
    await clock.sleeping(3_600_000);
    expect(rounds).toBe(2);
    wake();
    await until(() => rounds === 3);
    await clock.sleeping(3_600_000);
    clock.advance(3_600_000);
    await until(() => rounds === 5);
    stop.abort();
    await ended;
    expect(listeners.size).toBe(0);
  });

  describe("while the registry asks for a pause", () => {
    const limited = new RemoteError("slow down", { retryAfterMs: 60_000 });

    function start(intervalMs: number, outcome: PollOutcome | Error = limited) {
      const stop = new AbortController();
      const clock = fakeClock();
      const polls: number[] = [];
      const begin = clock.now();
      let listener: WakeListener = () => {};
      const ended = pollLoop({
        poll: async () => {
          polls.push(clock.now() - begin);
          if (polls.length > 1) return fine;
          if (outcome instanceof Error) throw outcome;
          return outcome;
        },
        intervalMs,
        onWake: (wake) => {
          listener = wake;
          return () => {};
        },
        clock,
        emit: () => {},
        signal: stop.signal,
        random: () => 0.5,
      });
      const end = async (): Promise<void> => {
        stop.abort();
        await ended;
      };
      return { clock, polls, wake: (isPatient: boolean) => listener({ isPatient }), end };
    }

    async function turns(): Promise<void> {
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    }

    it.each([
      ["unreachable", limited],
      ["a problem", { kind: "problem", error: limited } as const],
      ["failed", failed(undefined, new DeployError("stage", "no", { cause: limited }))],
    ])("lets a patient wake wait for its end (%s)", async (_, outcome) => {
      const { clock, polls, wake, end } = start(3_600_000, outcome);
      await clock.sleeping(3_600_000);
      clock.advance(1_000);
      wake(true);
      await clock.sleeping(62_000);
      wake(true);
      clock.advance(61_999);
      await turns();
      expect(polls).toEqual([0]);
      clock.advance(1);
      await turns();
      expect(polls).toEqual([0, 63_000]);
      clock.advance(3_599_999);
      await turns();
      expect(polls).toHaveLength(2);
      await end();
    });

    it("polls at once after a patient wake that comes later, or that is not patient", async () => {
      const late = start(3_600_000);
      await late.clock.sleeping(3_600_000);
      late.clock.advance(63_000);
      late.wake(true);
      await turns();
      expect(late.polls).toEqual([0, 63_000]);
      await late.end();
      const urgent = start(3_600_000);
      await urgent.clock.sleeping(3_600_000);
      urgent.wake(false);
      await turns();
      expect(urgent.polls).toEqual([0, 0]);
      await urgent.end();
    });

    it("needs no wake if the interval is shorter", async () => {
      const { clock, polls, wake, end } = start(1_000);
      await clock.sleeping(63_000);
      wake(true);
      clock.advance(62_999);
      await turns();
      expect(polls).toEqual([0]);
      clock.advance(1);
      await turns();
      expect(polls).toEqual([0, 63_000]);
      await end();
    });
  });

  it("polls again after a patient wake during a poll", async () => {
    const stop = new AbortController();
    const clock = fakeClock();
    let listener: WakeListener = () => {};
    let rounds = 0;
    const ended = pollLoop({
      poll: async () => {
        rounds += 1;
        if (rounds === 1) listener({ isPatient: true });
        return fine;
      },
      intervalMs: 3_600_000,
      onWake: (wake) => {
        listener = wake;
        return () => {};
      },
      clock,
      emit: () => {},
      signal: stop.signal,
      random: () => 0.5,
    });
    await until(() => rounds === 2);
    stop.abort();
    await ended;
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
