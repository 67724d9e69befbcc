import type { Clock } from "../../core/clock.ts";
import { CrashRow } from "../../deployers/crash_row.ts";
import type { AppRelease, CrashLoop } from "../../deployers/runner.ts";

interface RecoveryOptions {
  /** Replaces the lost replicas. Reports a failure with {@link Recovery.schedule}. */
  recover(): Promise<void>;
  onCrashLoop(loop: CrashLoop): void;
  clock: Clock;
  signal: AbortSignal;
}

interface Loss {
  release: AppRelease;
  reason: string;
  /** Whether the app caused the loss by crashing. */
  isCrash: boolean;
}

interface Pending {
  cancelled: AbortController;
  dueAt: number;
  /** How long the release had run before. */
  sinceMs: number;
  isCrash: boolean;
}

const JITTER = 0.1;

/** Schedules the replacement of lost replicas with backoff, and detects crash loops. */
export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #losses = new CrashRow();
  readonly #crashes = new CrashRow();
  #pending: Pending | undefined;
  #lastAt = 0;
  #count = 0;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /** How many recoveries were scheduled. */
  get count(): number {
    return this.#count;
  }

  /** Whether a recovery is due. */
  get isPending(): boolean {
    return this.#pending !== undefined;
  }

  /** Returns the milliseconds until the recovery. Losses before that count as one. */
  schedule({ release, reason, isCrash }: Loss): number {
    const { clock, onCrashLoop } = this.#options;
    const pending = this.#pending ?? this.#wait(release);
    // A missing replica may be noticed before its crash is.
    if (isCrash && !pending.isCrash) {
      pending.isCrash = true;
      const { isLoop, count: crashes } = this.#crashes.add(release, pending.sinceMs);
      if (isLoop) onCrashLoop({ release, crashes, reason });
    }
    return Math.max(0, pending.dueAt - clock.now());
  }

  /** A rollout replaces the pending recovery. */
  cancel(): void {
    this.#pending?.cancelled.abort();
    this.#pending = undefined;
  }

  #wait(release: AppRelease): Pending {
    const { clock, signal, recover } = this.#options;
    const now = clock.now();
    const sinceMs = now - this.#lastAt;
    const pauseMs = jittered(this.#losses.add(release, sinceMs).pauseMs);
    this.#lastAt = now + pauseMs;
    const cancelled = new AbortController();
    const pending: Pending = { cancelled, dueAt: now + pauseMs, sinceMs, isCrash: false };
    this.#pending = pending;
    this.#count += 1;
    clock.sleep(pauseMs, AbortSignal.any([cancelled.signal, signal])).then(
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
