import type { Clock } from "../../core/clock.ts";
import type { Generation } from "./generation.ts";

interface Kept {
  readonly generation: Generation;
  readonly over: AbortController;
  /** Aborted to begin the time again. */
  again: AbortController;
  isTaken: boolean;
}

/**
 * The generation that served before the current one, as long as it could serve again without a start: it has not been
 * asked to end yet.
 */
export class Standby {
  readonly #clock: Clock;
  #kept: Kept | undefined;

  /** @param clock time. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Keeps a generation for a while. One that was kept before is no longer.
   *
   * @param generation the generation.
   * @param durationMs how long.
   * @param signal ends it earlier.
   * @returns whether it serves again; else it is to be ended.
   */
  async keep(generation: Generation, durationMs: number, signal: AbortSignal): Promise<boolean> {
    this.dismiss();
    const over = new AbortController();
    const kept: Kept = { generation, over, again: new AbortController(), isTaken: false };
    this.#kept = kept;
    const either = AbortSignal.any([signal, over.signal]);
    do {
      kept.again = new AbortController();
      const any = AbortSignal.any([either, kept.again.signal]);
      await this.#clock.sleep(durationMs, any).catch(() => {});
    } while (kept.again.signal.aborted && !either.aborted);
    if (this.#kept === kept) this.#kept = undefined;
    return kept.isTaken;
  }

  /** Begins the time of the generation again. */
  prolong(): void {
    this.#kept?.again.abort();
  }

  /**
   * Takes the generation that is kept, to let it serve again.
   *
   * @param directory of which release; any unless told.
   * @returns the generation; `undefined` when there is none that runs.
   */
  take(directory?: string): Generation | undefined {
    const kept = this.#kept;
    if (kept === undefined || kept.generation.hasEnded) return undefined;
    if (directory !== undefined && kept.generation.release.directory !== directory)
      return undefined;
    kept.isTaken = true;
    this.dismiss();
    return kept.generation;
  }

  /**
   * Keeps it no longer.
   *
   * @param directory only when it is not of this release.
   */
  dismiss(directory?: string): void {
    const kept = this.#kept;
    if (kept === undefined || kept.generation.release.directory === directory) return;
    this.#kept = undefined;
    kept.over.abort();
  }
}
