import type { Clock } from "../core/clock.ts";
import { DewyError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { withDeadline } from "../core/timeout.ts";
import type { CacheStore } from "./types.ts";

export interface CareOptions {
  /** The store, as it may be printed. */
  name: string;
  clock: Clock;
  emit: EventSink;
  /** What dewy does instead, for the warning. */
  instead: string;
}

const OPERATION_MS = 10_000;

/**
 * Calls a store that may be down, slow, read-only or full. A failure is a value, reported by one warning until the store
 * works again.
 */
export class Care {
  readonly #options: CareOptions;
  readonly #reported = new Set<string>();
  #isAtomic: boolean | undefined;

  constructor(options: CareOptions) {
    this.#options = options;
  }

  /**
   * Runs one operation, at most ten seconds unless `ms` says otherwise. Rejects only if `signal` is aborted.
   *
   * @param action What is reported, once for each action: `read`, `write`.
   */
  async try<T>(
    action: string,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
    ms: number = OPERATION_MS,
  ): Promise<{ value: T } | { error: unknown }> {
    try {
      const value = await withDeadline(this.#options.clock, ms, signal, work);
      this.#reported.delete(action);
      return { value };
    } catch (error) {
      signal?.throwIfAborted();
      this.#report(action, error);
      return { error };
    }
  }

  /** Whether a store obeys conditions, as it was found at the first call. Also `false` if it cannot tell now. */
  async isAtomic(store: CacheStore, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#isAtomic !== undefined) return this.#isAtomic;
    const asked = await this.try("write to", signal, (limited) => store.isAtomic(limited));
    if ("value" in asked) this.#isAtomic = asked.value;
    return this.#isAtomic === true;
  }

  /** Whether a store is known to ignore conditions. */
  get isPlain(): boolean {
    return this.#isAtomic === false;
  }

  #report(action: string, error: unknown): void {
    if (this.#reported.has(action)) return;
    this.#reported.add(action);
    const { name: cache, instead, emit } = this.#options;
    const reason = error instanceof DewyError ? error.message : messageOf(error);
    emit({
      type: "warning",
      message: `Cannot ${action} the cache; ${instead}`,
      fields: { cache, reason },
    });
  }
}
