import type { Clock } from "../../core/clock.ts";
import { CrashRow } from "../crash_row.ts";
import type { AppRelease, CrashLoop } from "../runner.ts";

/** What {@link Recovery} works with. */
export interface RecoveryOptions {
  /** Brings back what is missing; tells failures by {@link Recovery.later}. */
  recover(): Promise<void>;
  /** Is told once in a row of crashes. */
  onCrashLoop(loop: CrashLoop): void;
  clock: Clock;
  /** Ends it. */
  signal: AbortSignal;
}

/** Something is missing of a release. */
export interface Loss {
  release: AppRelease;
  /** What happened. */
  reason: string;
  /** Whether the app is to blame. */
  isCrash: boolean;
}

const JITTER = 0.1;

/** Brings back what was lost: soon at first, then with growing pauses. */
export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #losses = new CrashRow();
  readonly #crashes = new CrashRow();
  #pending: { over: AbortController; dueAt: number } | undefined;
  #lastAt = 0;

  /** @param options what it works with. */
  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /**
   * Hears of a loss. Losses that are waited for together are one.
   *
   * @param loss what happened.
   * @returns milliseconds until it is made good.
   */
  later({ release, reason, isCrash }: Loss): number {
    const { clock, onCrashLoop, signal } = this.#options;
    const now = clock.now();
    if (this.#pending !== undefined) return Math.max(0, this.#pending.dueAt - now);
    const sinceMs = now - this.#lastAt;
    const pauseMs = jittered(this.#losses.add(release, sinceMs).pauseMs);
    this.#lastAt = now + pauseMs;
    const pending = { over: new AbortController(), dueAt: now + pauseMs };
    this.#pending = pending;
    clock.sleep(pauseMs, AbortSignal.any([pending.over.signal, signal])).then(
      () => {
        this.#pending = undefined;
        return this.#options.recover();
      },
      () => {},
    );
    const crash = isCrash ? this.#crashes.add(release, sinceMs) : undefined;
    if (crash?.isLoop) onCrashLoop({ release, crashes: crash.count, reason });
    return pauseMs;
  }

  /** Somebody else sees to it now. */
  cancel(): void {
    this.#pending?.over.abort();
    this.#pending = undefined;
  }
}

function jittered(ms: number): number {
  return Math.round(ms * (1 - JITTER + 2 * JITTER * Math.random()));
}
