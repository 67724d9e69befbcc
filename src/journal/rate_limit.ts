import type { Clock } from "../core/clock.ts";

const BURST = 20;
const REFILL_MS = 5 * 60_000;

/** A token bucket that counts what it has refused. */
export class RateLimit {
  readonly #clock: Pick<Clock, "monotonic">;
  #tokens = BURST;
  #refilledAt: number;
  #refused = 0;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
    this.#refilledAt = clock.monotonic();
  }

  /** Returns how many were refused since the last one that was not; `undefined` if this one is refused. */
  take(): number | undefined {
    const earned = Math.floor((this.#clock.monotonic() - this.#refilledAt) / REFILL_MS);
    this.#tokens = Math.min(BURST, this.#tokens + earned);
    this.#refilledAt += earned * REFILL_MS;
    if (this.#tokens === 0) {
      this.#refused += 1;
      return undefined;
    }
    this.#tokens -= 1;
    const refused = this.#refused;
    this.#refused = 0;
    return refused;
  }
}
