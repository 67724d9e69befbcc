import { describe, expect, it } from "vitest";
import type { DewyError } from "../../src/core/error.ts";
import { DeployError, NotFoundError, RemoteError } from "../../src/core/error.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import { type LoopOptions, pollLoop } from "../../src/deploy/loop.ts";
import { eventsOf, jumpingClock } from "./world.ts";

type Outcome = DewyError | undefined | "throws";

/** Runs the loop for the given rounds and tells the pauses between them. */
async function pausesAfter(
  outcomes: readonly Outcome[],
  over: Partial<LoopOptions> = {},
): Promise<{ pauses: number[]; events: DewyEvent[] }> {
  const clock = jumpingClock();
  const stop = new AbortController();
  const events: DewyEvent[] = [];
  const left = [...outcomes];
  await pollLoop({
    round: async () => {
      const outcome = left.shift();
      if (left.length === 0) queueMicrotask(() => queueMicrotask(() => stop.abort()));
      if (outcome === "throws") throw new TypeError("a bug");
      return outcome;
    },
    intervalMs: 10_000,
    wake: () => new Promise(() => {}),
    clock,
    emit: (event) => events.push(event),
    signal: stop.signal,
    random: () => 0.5,
    ...over,
  });
  return { pauses: clock.slept.slice(0, outcomes.length - 1), events };
}

const failure = new NotFoundError("nothing there");

describe("pollLoop", () => {
  it("keeps a steady pace while rounds succeed", async () => {
    const { pauses } = await pausesAfter([undefined, undefined, undefined]);
    expect(pauses).toEqual([10_000, 10_000]);
  });

  it("pauses longer after each failure, up to five minutes, and returns to its pace", async () => {
    const { pauses } = await pausesAfter([
      failure,
      failure,
      failure,
      failure,
      failure,
      failure,
      failure,
      undefined,
      undefined,
    ]);
    expect(pauses).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 10_000]);
  });

  it("never polls earlier than the registry asked, also when its answer hides in a failed deploy", async () => {
    const limited = new RemoteError("slow down", { retryAfterMs: 900_000 });
    const { pauses } = await pausesAfter([
      limited,
      new DeployError("stage", "no", { cause: limited }),
      undefined,
    ]);
    expect(pauses).toEqual([945_000, 945_000]);
  });

  it("spreads the polls of a fleet", async () => {
    const low = await pausesAfter([undefined, undefined], { random: () => 0 });
    const high = await pausesAfter([undefined, undefined], { random: () => 0.999 });
    expect(low.pauses[0]).toBe(9_000);
    expect(high.pauses[0]).toBeGreaterThan(10_900);
  });

  it("tells of every failure with its count, and of the recovery", async () => {
    const { events } = await pausesAfter([failure, failure, undefined, undefined]);
    expect(eventsOf(events, "failed").map(({ count }) => count)).toEqual([1, 2]);
    expect(eventsOf(events, "succeeded-again")).toMatchObject([{ after: 2 }]);
  });

  it("goes on after a failure that nobody expected", async () => {
    const { events } = await pausesAfter(["throws", undefined]);
    expect(eventsOf(events, "failed")).toMatchObject([{ error: { code: "host" } }]);
  });

  it("polls at once when it is woken", async () => {
    const stop = new AbortController();
    let rounds = 0;
    await pollLoop({
      round: async () => {
        if (++rounds === 2) stop.abort();
        return undefined;
      },
      intervalMs: 3_600_000,
      wake: async () => {},
      clock: {
        now: () => 0,
        sleep: (_, signal) =>
          new Promise((_resolve, reject) =>
            signal?.addEventListener("abort", () => reject(signal.reason)),
          ),
      },
      emit: () => {},
      signal: stop.signal,
    });
    expect(rounds).toBe(2);
  });
});
