import type { Clock } from "../../../src/core/clock.ts";

interface Timer {
  at: number;
  order: number;
  run: (() => void) | undefined;
}

/** Time that passes only from one timer to the next, in order, however slow the machine is. */
export class VirtualTime {
  now: number = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  readonly startedAt: number = this.now;
  readonly #timers: Timer[] = [];
  #order = 0;

  /** Runs something later; returns what cancels it. */
  after(ms: number, run: () => void): () => void {
    this.#order += 1;
    const timer: Timer = { at: this.now + Math.max(0, ms), order: this.#order, run };
    push(this.#timers, timer);
    return () => {
      timer.run = undefined;
    };
  }

  /** Moves to the next timer and runs it. Returns `false` if there is none until then. */
  step(until: number): boolean {
    for (let first = this.#timers[0]; first !== undefined; first = this.#timers[0]) {
      if (first.run !== undefined && first.at > until) break;
      pop(this.#timers);
      if (first.run === undefined) continue;
      this.now = first.at;
      first.run();
      return true;
    }
    this.now = Math.max(this.now, until);
    return false;
  }

  /** Since the start, for messages: `12:03.4`. */
  text(): string {
    const seconds = (this.now - this.startedAt) / 1000;
    const minutes = Math.floor(seconds / 60);
    return `${minutes}:${(seconds - minutes * 60).toFixed(1).padStart(4, "0")}`;
  }
}

export interface ClockFaults {
  /** How far the system time is off. */
  skewMs: number;
  /** How fast the clock runs: 1 is right. */
  rate: number;
}

/** The clock of one process. It stops with the process: a killed one never wakes. */
export function processClock(
  time: VirtualTime,
  { skewMs, rate }: ClockFaults,
  isAlive: () => boolean,
): Clock {
  const monotonic = (): number => (time.now - time.startedAt) * rate;
  return {
    now: () => time.startedAt + skewMs + monotonic(),
    monotonic,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const onAbort = (): void => {
          cancel();
          reject(signal?.reason);
        };
        const cancel = time.after(ms / rate, () => {
          signal?.removeEventListener("abort", onAbort);
          if (isAlive()) resolve();
        });
        signal?.addEventListener("abort", onAbort, { once: true });
      }),
  };
}

/** Resolves when all code has run that waits for neither time nor the store. */
export function quiet(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

function push(heap: Timer[], timer: Timer): void {
  let at = heap.length;
  heap.push(timer);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || isBefore(above, timer)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = timer;
}

function pop(heap: Timer[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    const left = heap[2 * at + 1];
    const right = heap[2 * at + 2];
    const isRight = left !== undefined && right !== undefined && isBefore(right, left);
    const child = isRight ? right : left;
    if (child === undefined || !isBefore(child, last)) break;
    heap[at] = child;
    at = 2 * at + (isRight ? 2 : 1);
  }
  heap[at] = last;
}
