import type { Clock } from "../../core/clock.ts";

/** What {@link Recovery} works with. */
export interface RecoveryOptions {
  /** Brings back what is missing; tells failures by {@link Recovery.later}. */
  recover(): Promise<void>;
  /** Is told once in a row of crashes. */
  onCrashLoop(crashes: number, reason: string): void;
  clock: Clock;
  /** Ends it. */
  signal: AbortSignal;
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** Without a loss for so long, the next one is not "again". */
const STABLE_MS = 60_000;
const CRASHES_OF_A_LOOP = 5;
const JITTER = 0.1;

/** Brings back what was lost: soon at first, then with growing pauses. */
export class Recovery {
  readonly #options: RecoveryOptions;
  #pending: { over: AbortController; dueAt: number } | undefined;
  #attempts = 0;
  #crashes = 0;
  #lastAt = 0;

  /** @param options what it works with. */
  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /**
   * Hears of a loss. Losses that are waited for together are one.
   *
   * @param reason what happened.
   * @param isCrash whether the app is to blame.
   * @returns milliseconds until it is made good.
   */
  later(reason: string, isCrash: boolean): number {
    const { clock, onCrashLoop, signal } = this.#options;
    const now = clock.now();
    if (this.#pending !== undefined) return Math.max(0, this.#pending.dueAt - now);
    if (now - this.#lastAt >= STABLE_MS) {
      this.#attempts = 0;
      this.#crashes = 0;
    }
    const pauseMs = this.#nextPauseMs();
    this.#lastAt = now + pauseMs;
    if (isCrash) this.#crashes += 1;
    const pending = { over: new AbortController(), dueAt: now + pauseMs };
    this.#pending = pending;
    clock.sleep(pauseMs, AbortSignal.any([pending.over.signal, signal])).then(
      () => {
        this.#pending = undefined;
        return this.#options.recover();
      },
      () => {},
    );
    if (isCrash && this.#crashes === CRASHES_OF_A_LOOP) {
      onCrashLoop(this.#crashes, reason);
    }
    return pauseMs;
  }

  /** Somebody else sees to it now. */
  cancel(): void {
    this.#pending?.over.abort();
    this.#pending = undefined;
  }

  #nextPauseMs(): number {
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#attempts, 20));
    this.#attempts += 1;
    return Math.round(pauseMs * (1 - JITTER + 2 * JITTER * Math.random()));
  }
}
