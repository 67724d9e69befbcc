import { type Exclusively, exclusive } from "../core/concurrency.ts";
import { AbortedError, DeployError } from "../core/error.ts";
import { abortWith } from "../core/timeout.ts";

/** A deploy that runs beside the polling. */
export interface Underway {
  readonly directory: string;
  /** Set while an operator's rollback replaces the release; resolves to whether it did. */
  leaving?: Promise<boolean>;
}

/** An automatic deploy was given up because its version may not come by itself any more. It has not failed. */
export class GivenUp extends AbortedError {}

/** Serializes the changes of what is live: switch, rollback, restart, prune. */
export class Switches {
  readonly exclusively: Exclusively = exclusive();
  /** The deploys whose release bakes or runs its after-deploy hook, the latest last. */
  readonly underway: Set<Underway> = new Set();
  readonly #attempts = new Set<AbortController>();
  readonly #overtakable = new Set<{ tag: string | undefined; ended: AbortController }>();
  readonly #waiters = new Set<() => void>();

  isUnderway(directory: string | undefined): boolean {
    return [...this.underway].some((one) => one.directory === directory);
  }

  leave(underway: Underway): void {
    this.underway.delete(underway);
    this.#notify();
  }

  #changed(): Promise<void> {
    return new Promise<void>((resolve) => this.#waiters.add(resolve));
  }

  #notify(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  /** Resolves once nothing changes and nothing bakes. */
  async idle(): Promise<void> {
    await this.exclusively(async () => {});
    while (this.underway.size > 0) {
      await this.#changed();
      await this.exclusively(async () => {});
    }
  }

  /**
   * Runs work that an operator's order may overtake, such as an automatic deploy of a tag until it serves. It then rejects
   * with a {@link GivenUp}.
   */
  async overtakable<T>(
    tag: string | undefined,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const ended = new AbortController();
    const detach = abortWith(ended, signal);
    const entry = { tag, ended };
    this.#overtakable.add(entry);
    try {
      return await work(ended.signal);
    } catch (error) {
      throw ended.signal.reason instanceof GivenUp ? ended.signal.reason : error;
    } finally {
      this.#overtakable.delete(entry);
      this.#notify();
      detach();
    }
  }

  /** Aborts all that may be overtaken, but deploys of the tag `except`. `reason` is a sentence without a full stop. */
  overtake(reason: string, except?: string): void {
    for (const { tag, ended } of this.#overtakable) {
      if (tag === undefined || tag !== except) ended.abort(new GivenUp(reason));
    }
  }

  /** Resolves once no version of the tag is being deployed automatically, or it serves. */
  async settled(tag: string): Promise<void> {
    while (this.isDeploying(tag)) await this.#changed();
  }

  /** The version that is being deployed automatically and does not serve yet. */
  get deploying(): string | undefined {
    return [...this.#overtakable].find(({ tag }) => tag !== undefined)?.tag;
  }

  /** Whether a version is being deployed automatically and does not serve yet. */
  isDeploying(tag: string): boolean {
    return [...this.#overtakable].some((one) => one.tag === tag);
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
