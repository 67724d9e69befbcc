import { DeployError } from "../core/error.ts";
import { type Exclusively, exclusive } from "../core/exclusive.ts";

/**
 * Serializes the changes of what is live: taking over, going back, restarting, pruning. A change that is urgent aborts
 * attempts instead of waiting for them.
 */
export class Switches {
  /** Runs work while nothing else changes what is live. */
  readonly exclusively: Exclusively = exclusive();
  /** The directories whose deploy goes on: they serve, and are baking, or their after-deploy hook runs. */
  readonly underway: Set<string> = new Set();
  readonly #attempts = new Set<AbortController>();

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
