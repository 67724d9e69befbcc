import { DeployError } from "../core/error.ts";
import { type Exclusively, exclusive } from "../core/exclusive.ts";

/** A deploy that runs beside the polling. */
export interface Underway {
  readonly directory: string;
}

/** Serializes the changes of what is live: switch, rollback, restart, prune. */
export class Switches {
  readonly exclusively: Exclusively = exclusive();
  /** The deploys whose release bakes or runs its after-deploy hook, the latest last. */
  readonly underway: Set<Underway> = new Set();
  readonly #attempts = new Set<AbortController>();

  isUnderway(directory: string | undefined): boolean {
    return [...this.underway].some((one) => one.directory === directory);
  }

  /** Runs a change that an urgent change may abort with the signal passed to `work`. */
  async attempt<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const preempted = new AbortController();
    this.#attempts.add(preempted);
    try {
      return await this.exclusively(() => {
        const either = AbortSignal.any([signal, preempted.signal]);
        either.throwIfAborted();
        return work(either);
      });
    } finally {
      this.#attempts.delete(preempted);
    }
  }

  /** Aborts all attempts first. `reason` is the rest of "it was given up, because …". */
  urgently<T>(reason: string, work: () => Promise<T>): Promise<T> {
    for (const attempt of this.#attempts) {
      const options = { fault: "host", retryable: true } as const;
      attempt.abort(new DeployError("verify", `it was given up, because ${reason}`, options));
    }
    return this.exclusively(work);
  }
}
