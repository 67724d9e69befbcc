import type { Clock } from "../../core/clock.ts";

interface DeadlineOptions<Item> {
  ms: number;
  onDue: (item: Item) => void;
  clock: Clock;
  signal: AbortSignal;
}

/** The same deadline for many items with one timer: the first one added is always due first. */
export class Deadlines<Item> {
  readonly #options: DeadlineOptions<Item>;
  readonly #dueAt = new Map<Item, number>();
  #isRunning = false;

  constructor(options: DeadlineOptions<Item>) {
    this.#options = options;
  }

  add(item: Item): void {
    const { clock, ms } = this.#options;
    this.#dueAt.set(item, clock.now() + ms);
    if (!this.#isRunning) void this.#run();
  }

  delete(item: Item): void {
    this.#dueAt.delete(item);
  }

  async #run(): Promise<void> {
    const { clock, signal } = this.#options;
    this.#isRunning = true;
    try {
      for (;;) {
        const [first] = this.#dueAt.values();
        if (first === undefined) return;
        await clock.sleep(Math.max(1, first - clock.now()), signal);
        this.#expire();
      }
    } catch {
      // The signal: the deadlines no longer matter.
    } finally {
      this.#isRunning = false;
    }
  }

  #expire(): void {
    const { clock, onDue } = this.#options;
    for (const [item, dueAt] of this.#dueAt) {
      if (dueAt > clock.now()) return;
      this.#dueAt.delete(item);
      onDue(item);
    }
  }
}
