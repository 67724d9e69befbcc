import type { Clock } from "../../core/clock.ts";
import type { Generation } from "./generation.ts";

interface Entry {
  readonly generation: Generation;
  readonly over: AbortController;
  /** Aborted to restart the time. */
  prolong: AbortController;
  isResumed: boolean;
}

/** Keeps the previous generation for a while, so that it can serve again without a start. */
export class Standby {
  readonly #clock: Clock;
  #entry: Entry | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get generation(): Generation | undefined {
    return this.#entry?.generation;
  }

  /** Releases the generation kept before. Resolves to whether this one serves again; if not, it can be drained. */
  async keep(generation: Generation, durationMs: number, signal: AbortSignal): Promise<boolean> {
    this.release();
    const over = new AbortController();
    const entry: Entry = { generation, over, prolong: new AbortController(), isResumed: false };
    this.#entry = entry;
    const either = AbortSignal.any([signal, over.signal]);
    do {
      entry.prolong = new AbortController();
      const any = AbortSignal.any([either, entry.prolong.signal]);
      await this.#clock.sleep(durationMs, any).catch(() => {});
    } while (entry.prolong.signal.aborted && !either.aborted);
    if (this.#entry === entry) this.#entry = undefined;
    return entry.isResumed;
  }

  prolong(): void {
    this.#entry?.prolong.abort();
  }

  /** Takes the generation to let it serve again, if it runs and is of the release directory, if one is given. */
  resume(directory?: string): Generation | undefined {
    const entry = this.#entry;
    if (entry === undefined || entry.generation.hasEnded) return undefined;
    if (directory !== undefined && entry.generation.release.directory !== directory)
      return undefined;
    entry.isResumed = true;
    this.release();
    return entry.generation;
  }

  /** Ends the standby, unless the generation is of the release directory `except`. */
  release(except?: string): void {
    const entry = this.#entry;
    if (entry === undefined || entry.generation.release.directory === except) return;
    this.#entry = undefined;
    entry.over.abort();
  }
}
