import type { Clock } from "../../core/clock.ts";
import type { Fault } from "../../core/error.ts";
import { CrashRow } from "../../deployers/crash_row.ts";
import type { AppRelease, CrashLoop } from "../../deployers/runner.ts";

/** What {@link Restarts} works with. */
export interface RestartsOptions {
  /** Starts a release again, unless the signal is aborted by then. */
  start(release: AppRelease, signal: AbortSignal): Promise<void>;
  /** Is told when a release keeps crashing; once a row. */
  onCrashLoop(loop: CrashLoop): void;
  clock: Clock;
  /** Ends every pause. */
  signal: AbortSignal;
}

const POSTPONED_MS = 500;

/** Starts what has crashed again: each crash in a row is followed by a longer pause. There is one restart ahead at most. */
export class Restarts {
  readonly #options: RestartsOptions;
  readonly #failures = new CrashRow();
  readonly #crashes = new CrashRow();
  #pending: AbortController | undefined;

  /** @param options what it works with. */
  constructor(options: RestartsOptions) {
    this.#options = options;
  }

  /**
   * Counts a crash, or a start that failed, and starts the release again after a pause.
   *
   * @param release what has crashed.
   * @param reason what happened.
   * @param lifeMs how long it had run, in milliseconds.
   * @param fault where the fault lies; only the release's own counts towards a crash loop.
   * @returns the pause, in milliseconds.
   */
  later(release: AppRelease, reason: string, lifeMs: number, fault: Fault): number {
    const { pauseMs } = this.#failures.add(release, lifeMs);
    if (fault === "release") {
      const { count: crashes, isLoop } = this.#crashes.add(release, lifeMs);
      if (isLoop) this.#options.onCrashLoop({ release, crashes, reason });
    }
    this.#startAfter(pauseMs, release);
    return pauseMs;
  }

  /** Starts a release a little later, because it cannot be started just now. */
  postpone(release: AppRelease): void {
    this.#startAfter(POSTPONED_MS, release);
  }

  /** Nothing has to be started again. */
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
