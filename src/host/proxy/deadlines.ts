import type { Clock } from "../../core/clock.ts";

/** The same deadline for many items with one timer: the first one added is always due first. */
export class Deadlines<Item> {
  readonly #ms: number;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #onDue: (item: Item) => void;
  readonly #dueAt = new Map<Item, number>();
  #isRunning = false;

  constructor(options: {
    ms: number;
    onDue: (item: Item) => void;
    clock: Clock;
    signal: AbortSignal;
  }) {
    this.#ms = options.ms;
    this.#onDue = options.onDue;
    this.#clock = options.clock;
    this.#signal = options.signal;
  }

  add(item: Item): void {
    this.#dueAt.set(item, this.#clock.now() + this.#ms);
    if (!this.#isRunning) void this.#run();
  }

  delete(item: Item): void {
    this.#dueAt.delete(item);
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
      // The signal: the deadlines no longer matter.
    } finally {
      this.#isRunning = false;
    }
  }

  #expire(): void {
    for (const [item, dueAt] of this.#dueAt) {
      if (dueAt > this.#clock.now()) return;
      this.#dueAt.delete(item);
      this.#onDue(item);
    }
  }
}
