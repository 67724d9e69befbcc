import type { Clock } from "../core/clock.ts";
import type { CacheEntry } from "./types.ts";

/** How old an entry is, by the clock of the store if it tells the age. */
export class EntryAge {
  readonly #clock: Clock;
  #seen: { version: string; at: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Where the store does not tell it: since when this machine has seen the entry or, if that is longer, since the time
   * that its writer states. A clock that is wrong by minutes can make it longer, but never shorter than it was seen.
   *
   * @param statedAt In milliseconds since the epoch, by the writer's clock.
   */
  of({ version, ageMs }: CacheEntry, statedAt: number | undefined): number {
    if (ageMs !== undefined) return ageMs;
    const now = this.#clock.monotonic();
    if (this.#seen?.version !== version) this.#seen = { version, at: now };
    return Math.max(now - this.#seen.at, this.#clock.now() - (statedAt ?? this.#clock.now()));
  }
}
