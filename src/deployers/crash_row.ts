import type { AppRelease } from "./runner.ts";

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** What stayed up for so long has not crashed "again". */
const STABLE_MS = 60_000;
const CRASHES_OF_A_LOOP = 5;

/** What follows from a crash. */
export interface Crash {
  /** How many there were in a row. */
  count: number;
  /** How long to wait before the next start, in milliseconds. */
  pauseMs: number;
  /** Whether the release has now shown that it does not run; once a row. */
  isLoop: boolean;
}

/** The crashes of a release in a row: each is followed by a longer pause. */
export class CrashRow {
  #directory: string | undefined;
  #count = 0;

  /**
   * Counts a crash, or a start that failed.
   *
   * @param release what has crashed.
   * @param lifeMs how long it had run, in milliseconds.
   * @returns what follows.
   */
  add({ directory }: AppRelease, lifeMs: number): Crash {
    if (directory !== this.#directory || lifeMs >= STABLE_MS) this.#count = 0;
    this.#directory = directory;
    this.#count += 1;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#count - 1));
    return { count: this.#count, pauseMs, isLoop: this.#count === CRASHES_OF_A_LOOP };
  }
}
