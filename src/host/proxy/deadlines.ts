import type { Clock } from "../../core/clock.ts";

/**
 * The same deadline for many things at once, with one timer for all of them: the set keeps the order in which they
 * were added, so that the first one is always due first.
 */
export class Deadlines<Thing> {
  readonly #ms: number;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #onDue: (thing: Thing) => void;
  readonly #dueAt = new Map<Thing, number>();
  #isRunning = false;

  /**
   * Makes an empty set.
   *
   * @param options the deadline in milliseconds, what happens then, the time, and what ends it all.
   */
  constructor(options: {
    ms: number;
    onDue: (thing: Thing) => void;
    clock: Clock;
    signal: AbortSignal;
  }) {
    this.#ms = options.ms;
    this.#onDue = options.onDue;
    this.#clock = options.clock;
    this.#signal = options.signal;
  }

  /**
   * Starts the deadline of a thing.
   *
   * @param thing the thing.
   */
  add(thing: Thing): void {
    this.#dueAt.set(thing, this.#clock.now() + this.#ms);
    if (!this.#isRunning) void this.#run();
  }

  /**
   * Forgets a thing.
   *
   * @param thing the thing.
   */
  delete(thing: Thing): void {
    this.#dueAt.delete(thing);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      for (;;) {
        const [first] = this.#dueAt.values();
        if (first === undefined) return;
        await this.#clock.sleep(Math.max(1, first - this.#clock.now()), this.#signal);
        this.#expire();
      }
    } catch {
      // The signal: nobody waits any more.
    } finally {
      this.#isRunning = false;
    }
  }

  #expire(): void {
    for (const [thing, dueAt] of this.#dueAt) {
      if (dueAt > this.#clock.now()) return;
      this.#dueAt.delete(thing);
      this.#onDue(thing);
    }
  }
}
