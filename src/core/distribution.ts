/** A histogram at a moment: how many values were at most each bound, and above the one before it. */
export interface DistributionReading {
  bounds: readonly number[];
  /** One count per bound, and one for the values above the last bound. */
  counts: readonly number[];
  sum: number;
}

/** Counts values in buckets, for measures that are too frequent to be events. */
export class Distribution {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds The upper bounds of the buckets, ascending. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array(bounds.length + 1).fill(0);
  }

  add(value: number): void {
    const found = this.#bounds.findIndex((bound) => value <= bound);
    const bucket = found < 0 ? this.#bounds.length : found;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
  }

  read(): DistributionReading {
    return { bounds: this.#bounds, counts: [...this.#counts], sum: this.#sum };
  }
}

/** For the time in seconds until a connection to a backend stands. */
export const CONNECT_BOUNDS: readonly number[] = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5,
];

/** For the time in seconds from a connection's start to its end. */
export const CONNECTION_BOUNDS: readonly number[] = [
  0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000,
];
