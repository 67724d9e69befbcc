import { describe, expect, it } from "vitest";
import { Recovery } from "../../../src/container/replicas/recovery.ts";
import type { CrashLoop } from "../../../src/deployers/runner.ts";
import { fakeClock } from "../../fakes/clock.ts";

const RELEASE = { tag: "v1.1.0", directory: "r2" };
const CRASH = { release: RELEASE, reason: "exit code 1", isCrash: true };
const MISSING = { release: RELEASE, reason: "replicas are missing", isCrash: false };

interface Fixture {
  recovery: Recovery;
  loops: CrashLoop[];
  /** Ends the pause, and resolves after the recovery. */
  pauseEnds(): Promise<void>;
}

function fixture(): Fixture {
  const clock = fakeClock();
  const loops: CrashLoop[] = [];
  let recovered = (): void => {};
  const recovery = new Recovery({
    recover: async () => recovered(),
    onCrashLoop: (loop) => loops.push(loop),
    clock,
    signal: new AbortController().signal,
  });
  const pauseEnds = (): Promise<void> =>
    new Promise((resolve) => {
      recovered = resolve;
      clock.advance(clock.slept.at(-1) ?? 0);
    });
  return { recovery, loops, pauseEnds };
}

describe("Recovery", () => {
  it("counts a crash that was noticed as a missing replica before", async () => {
    const { recovery, loops, pauseEnds } = fixture();
    for (let crash = 1; crash <= 5; crash += 1) {
      const pause = recovery.schedule(MISSING);
      expect(recovery.schedule(CRASH)).toBe(pause);
      expect(loops).toHaveLength(crash === 5 ? 1 : 0);
      await pauseEnds();
    }
    expect(loops).toEqual([{ release: RELEASE, crashes: 5, reason: "exit code 1" }]);
  });

  it("counts simultaneous crashes once", async () => {
    const { recovery, loops, pauseEnds } = fixture();
    for (let crash = 1; crash <= 4; crash += 1) {
      for (let replica = 0; replica < 3; replica += 1) recovery.schedule(CRASH);
      await pauseEnds();
    }
    expect(loops).toEqual([]);
  });

  it("does not count missing replicas as crashes", async () => {
    const { recovery, loops, pauseEnds } = fixture();
    for (let loss = 1; loss <= 8; loss += 1) {
      recovery.schedule(MISSING);
      await pauseEnds();
    }
    expect(loops).toEqual([]);
  });
});
