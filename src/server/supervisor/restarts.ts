import type { Clock } from "../../core/clock.ts";
import type { Fault } from "../../core/error.ts";
import { CrashRow } from "../../deployers/crash_row.ts";
import type { AppRelease, CrashLoop } from "../../deployers/runner.ts";

export interface RestartsOptions {
  /** Starts a release again, unless the signal is aborted by then. */
  start(release: AppRelease, signal: AbortSignal): Promise<void>;
  onCrashLoop(loop: CrashLoop): void;
  clock: Clock;
  signal: AbortSignal;
}

const POSTPONED_MS = 500;

/** Restarts crashed releases with exponential backoff. At most one restart is pending. */
export class Restarts {
  readonly #options: RestartsOptions;
  readonly #failures = new CrashRow();
  readonly #crashes = new CrashRow();
  #pending: AbortController | undefined;
  #count = 0;

  constructor(options: RestartsOptions) {
    this.#options = options;
  }

  /** How many restarts were scheduled. */
  get count(): number {
    return this.#count;
  }

  /** Whether a restart is due, or has begun and not succeeded yet. */
  get isPending(): boolean {
    return this.#pending?.signal.aborted === false;
  }

  /**
   * Counts a crash or a failed start, schedules the restart, and returns the pause before it. Only crashes that are the
   * release's fault count towards a crash loop.
   */
  schedule(release: AppRelease, reason: string, lifeMs: number, fault: Fault): number {
    const { pauseMs } = this.#failures.add(release, lifeMs);
    if (fault === "release") {
      const { count: crashes, isLoop } = this.#crashes.add(release, lifeMs);
      if (isLoop) this.#options.onCrashLoop({ release, crashes, reason });
    }
    this.#count += 1;
    this.#startAfter(pauseMs, release);
    return pauseMs;
  }

  /** Schedules a restart that is not possible at the moment. */
  postpone(release: AppRelease): void {
    this.#startAfter(POSTPONED_MS, release);
  }

  cancel(): void {
    this.#pending?.abort();
  }

  #startAfter(pauseMs: number, release: AppRelease): void {
    const { start, clock, signal } = this.#options;
    this.cancel();
    this.#pending = new AbortController();
    const either = AbortSignal.any([this.#pending.signal, signal]);
    clock.sleep(pauseMs, either).then(
      () => start(release, either),
      () => {},
    );
  }
}
