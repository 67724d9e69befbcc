import type { Clock } from "../../core/clock.ts";
import { CrashRow } from "../../deployers/crash_row.ts";
import type { AppRelease, CrashLoop } from "../../deployers/runner.ts";

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

/** What is waited for. */
interface Pending {
  /** Ends the waiting. */
  over: AbortController;
  /** Milliseconds since the Unix epoch. */
  dueAt: number;
  /** How long the release had run before, in milliseconds. */
  sinceMs: number;
  /** Whether it has been counted as a crash. */
  isCrash: boolean;
}

const JITTER = 0.1;

/** Brings back what was lost: soon at first, then with growing pauses. */
export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #losses = new CrashRow();
  readonly #crashes = new CrashRow();
  #pending: Pending | undefined;
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
    const { clock, onCrashLoop } = this.#options;
    const pending = this.#pending ?? this.#wait(release);
    // That something is missing may be seen before it is known that it crashed.
    if (isCrash && !pending.isCrash) {
      pending.isCrash = true;
      const { isLoop, count: crashes } = this.#crashes.add(release, pending.sinceMs);
      if (isLoop) onCrashLoop({ release, crashes, reason });
    }
    return Math.max(0, pending.dueAt - clock.now());
  }

  /** Somebody else sees to it now. */
  cancel(): void {
    this.#pending?.over.abort();
    this.#pending = undefined;
  }

  #wait(release: AppRelease): Pending {
    const { clock, signal, recover } = this.#options;
    const now = clock.now();
    const sinceMs = now - this.#lastAt;
    const pauseMs = jittered(this.#losses.add(release, sinceMs).pauseMs);
    this.#lastAt = now + pauseMs;
    const over = new AbortController();
    const pending: Pending = { over, dueAt: now + pauseMs, sinceMs, isCrash: false };
    this.#pending = pending;
    clock.sleep(pauseMs, AbortSignal.any([over.signal, signal])).then(
      () => {
        this.#pending = undefined;
        return recover();
      },
      () => {},
    );
    return pending;
  }
}

function jittered(ms: number): number {
  return Math.round(ms * (1 - JITTER + 2 * JITTER * Math.random()));
}
