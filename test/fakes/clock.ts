import type { Clock } from "../../src/core/clock.ts";

interface Sleeper {
  dueAt: number;
  ms: number;
  wake: () => void;
}

/** Time that moves only when a test advances it. */
export interface FakeClock extends Clock {
  /** Moves time, and wakes the sleeps that are due, in order. */
  advance(ms: number): void;
  /** Sets the system time back, or forward, as an administrator or NTP does. */
  setBack(ms: number): void;
  /** Resolves as soon as any code sleeps for exactly this long. */
  sleeping(ms: number): Promise<void>;
  /** The lengths of all sleeps so far, in milliseconds. */
  readonly slept: readonly number[];
}

export interface FakeClockOptions {
  /** The time at the start. Defaults to 2026-01-02T03:04:05.678Z. */
  now?: number;
  /**
   * Sleeps of at most this many milliseconds end at once and move time: pauses, but not timeouts.
   */
  skipUpTo?: number;
}

export function fakeClock(options: FakeClockOptions = {}): FakeClock {
  let now = options.now ?? Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  let setBackMs = 0;
  const skipUpTo = options.skipUpTo ?? -1;
  const sleepers = new Set<Sleeper>();
  const slept: number[] = [];
  const awaited: { ms: number; found: () => void }[] = [];

  return {
    slept,
    now: () => now - setBackMs,
    monotonic: () => now,
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        slept.push(ms);
        if (ms <= skipUpTo) {
          now += ms;
          return resolve();
        }
        const onAbort = (): void => {
          sleepers.delete(sleeper);
          reject(signal?.reason);
        };
        const wake = (): void => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        };
        const sleeper: Sleeper = { ms, dueAt: now + ms, wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", onAbort, { once: true });
        for (const { found } of awaited.filter((one) => one.ms === ms)) found();
      });
    },
    setBack(ms) {
      setBackMs += ms;
    },
    advance(ms) {
      now += ms;
      for (const sleeper of [...sleepers].sort((a, b) => a.dueAt - b.dueAt)) {
        if (sleeper.dueAt > now) continue;
        sleepers.delete(sleeper);
        sleeper.wake();
      }
    },
    sleeping: (ms) =>
      new Promise((resolve) => {
        if ([...sleepers].some((sleeper) => sleeper.ms === ms)) resolve();
        else awaited.push({ ms, found: resolve });
      }),
  };
}

/**
 * Turns of the event loop without a new sleep, after which all other code had its chance to run.
 */
const QUIET_TURNS = 3;

/**
 * Creates a clock that jumps to the end of the next sleep whenever nothing else is left to do:
 * hours pass in a moment and in order, however slow the machine is. For code that waits only for
 * the clock. `start` defaults to 2026-01-02T03:04:05.678Z.
 */
export function hastyClock(start: number = Date.UTC(2026, 0, 2, 3, 4, 5, 678)): Clock {
  let now = start;
  const sleepers = new Set<Omit<Sleeper, "ms">>();
  let isTurning = false;
  let quietTurns = 0;
  const turn = (): void => {
    quietTurns += 1;
    if (quietTurns > QUIET_TURNS) jump();
    isTurning = sleepers.size > 0;
    if (isTurning) setImmediate(turn);
  };
  const jump = (): void => {
    const [next] = [...sleepers].sort((a, b) => a.dueAt - b.dueAt);
    if (next === undefined) return;
    quietTurns = 0;
    now = next.dueAt;
    sleepers.delete(next);
    next.wake();
  };
  return {
    now: () => now,
    monotonic: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = (): void => {
          sleepers.delete(sleeper);
          reject(signal?.reason);
        };
        const wake = (): void => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        };
        const sleeper = { dueAt: now + Math.max(0, ms), wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", onAbort);
        quietTurns = 0;
        if (!isTurning) setImmediate(turn);
        isTurning = true;
      }),
  };
}
