import { DeployError } from "../core/error.ts";
import { type Exclusively, exclusive } from "../core/exclusive.ts";

/** A deploy that continues beside the polling. */
export interface Underway {
  readonly directory: string;
}

/**
 * Serializes the changes of what is live: taking over, going back, restarting, pruning. A change that is urgent aborts
 * attempts instead of waiting for them.
 */
export class Switches {
  /** Runs work while nothing else changes what is live. */
  readonly exclusively: Exclusively = exclusive();
  /** The deploys whose release serves and bakes, or runs its after-deploy hook; the latest last. */
  readonly underway: Set<Underway> = new Set();
  readonly #attempts = new Set<AbortController>();

  /** Whether a deploy of this directory continues. */
  isUnderway(directory: string | undefined): boolean {
    return [...this.underway].some((one) => one.directory === directory);
  }

  /**
   * Runs a change that may be given up.
   *
   * @param signal aborts it.
   * @param work receives a signal that an urgent change aborts, too.
   */
  async attempt<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const givenUp = new AbortController();
    this.#attempts.add(givenUp);
    try {
      return await this.exclusively(() => {
        const either = AbortSignal.any([signal, givenUp.signal]);
        either.throwIfAborted();
        return work(either);
      });
    } finally {
      this.#attempts.delete(givenUp);
    }
  }

  /**
   * Runs a change that cannot wait: gives up all attempts first.
   *
   * @param reason why they are given up, for their errors.
   */
  urgently<T>(reason: string, work: () => Promise<T>): Promise<T> {
    for (const attempt of this.#attempts) {
      const options = { fault: "host", retryable: true } as const;
      attempt.abort(new DeployError("verify", `it was given up, because ${reason}`, options));
    }
    return this.exclusively(work);
  }
}
