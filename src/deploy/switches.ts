import { DeployError } from "../core/error.ts";
import { type Exclusively, exclusive } from "../core/exclusive.ts";

/**
 * The changes of what is live, one after the other. A change that cannot wait until a newer version is ready ends the
 * attempts before it.
 */
export class Switches {
  /** Runs work while nothing else changes what is live. */
  readonly exclusively: Exclusively = exclusive();
  readonly #attempts = new Set<AbortController>();

  /**
   * Runs work of that kind which may be given up.
   *
   * @param signal ends it.
   * @param work gets a signal that also ends it when something more urgent has to be done.
   * @returns what the work returns.
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
   * Gives up all attempts, and then runs work.
   *
   * @param reason why they are given up.
   * @param work puts right what cannot wait.
   * @returns what the work returns.
   */
  urgently<T>(reason: string, work: () => Promise<T>): Promise<T> {
    for (const attempt of this.#attempts) {
      const options = { fault: "host", retryable: true } as const;
      attempt.abort(new DeployError("verify", `it was given up, because ${reason}`, options));
    }
    return this.exclusively(work);
  }
}
