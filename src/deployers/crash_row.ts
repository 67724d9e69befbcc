import type { AppRelease } from "./runner.ts";

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** A crash after this uptime starts a new row. */
const STABLE_MS = 60_000;
const CRASHES_OF_A_LOOP = 5;

interface Crash {
  count: number;
  pauseMs: number;
  /** Whether the row has just become a crash loop; once per row. */
  isLoop: boolean;
}

/** Counts the consecutive crashes of a release, with exponential backoff. */
export class CrashRow {
  #directory: string | undefined;
  #count = 0;

  /** Counts a crash or a failed start after `lifeMs` of uptime. */
  add({ directory }: AppRelease, lifeMs: number): Crash {
    if (directory !== this.#directory || lifeMs >= STABLE_MS) this.#count = 0;
    this.#directory = directory;
    this.#count += 1;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#count - 1));
    return { count: this.#count, pauseMs, isLoop: this.#count === CRASHES_OF_A_LOOP };
  }
}
