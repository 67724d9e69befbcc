import type { Clock } from "../core/clock.ts";
import type { DewyEvent, EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { TimeoutError, withDeadline } from "../core/timeout.ts";
import type { CacheStore } from "./types.ts";

export interface SharedStoreOptions {
  store: CacheStore;
  /** This process, unique among those that share the store: `<host>:<pid>`. */
  node: string;
  clock: Clock;
  emit: EventSink;
  /** From 0 to 1. Defaults to `Math.random`. */
  random?: (() => number) | undefined;
}

const OPERATION_MS = 10_000;
const FIRST_WAIT_MS = 250;
/** How long a store that did not answer in time is left alone. */
const PAUSE_MS = 30_000;
const QUIET_MS = 10 * 60_000;

const TROUBLE = {
  read: "Cannot read the cache; this machine asks the registry itself",
  write: "Cannot write to the cache; this machine shares nothing with others",
  prune: "Cannot prune the cache; expired objects stay in it",
};

/**
 * A store that machines share. It may be down, slow, read-only or full: a failure is a value, reported by one warning
 * until the store works again.
 */
export class SharedStore {
  readonly store: CacheStore;
  readonly node: string;
  readonly clock: Clock;
  readonly #options: SharedStoreOptions;
  readonly #failing = new Map<keyof typeof TROUBLE, { since: number; isOver: boolean }>();
  #isAtomic: boolean | undefined;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  constructor(options: SharedStoreOptions) {
    this.#options = options;
    this.store = options.store;
    this.node = options.node;
    this.clock = options.clock;
  }

  emit(event: DewyEvent): void {
    this.#options.emit(event);
  }

  /** Runs one operation, at most ten seconds unless `ms` says otherwise. Rejects only if `signal` is aborted. */
  async try<T>(
    action: keyof typeof TROUBLE,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
    ms: number = OPERATION_MS,
  ): Promise<{ value: T } | { error: unknown }> {
    if (action !== "prune" && this.clock.monotonic() < this.#pausedUntil) {
      return { error: new TimeoutError("result", ms) };
    }
    try {
      const value = await withDeadline(this.clock, ms, signal, work);
      const failing = this.#failing.get(action);
      if (failing !== undefined) failing.isOver = true;
      return { value };
    } catch (error) {
      signal?.throwIfAborted();
      const isSlow = error instanceof TimeoutError;
      if (isSlow) this.#pausedUntil = this.clock.monotonic() + PAUSE_MS;
      this.#report(action, error);
      return { error };
    }
  }

  /** Whether the store obeys conditions, as found at the first call. Also `false` if it cannot tell now. */
  async isAtomic(signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#isAtomic !== undefined) return this.#isAtomic;
    const asked = await this.try("write", signal, (limited) => this.store.isAtomic(limited));
    if ("value" in asked) this.#isAtomic = asked.value;
    return this.#isAtomic === true;
  }

  /** Whether the store is known to ignore conditions. */
  get isPlain(): boolean {
    return this.#isAtomic === false;
  }

  /** Waits between two looks at what another machine does: longer each time, with jitter. */
  async wait(attempt: number, maxMs: number, signal: AbortSignal | undefined): Promise<void> {
    const { random = Math.random } = this.#options;
    const longest = Math.min(maxMs, FIRST_WAIT_MS * 1.5 ** attempt);
    await this.clock.sleep(longest * (0.5 + random() / 2), signal);
  }

  /** A store that comes and goes is reported once in a while. */
  #report(action: keyof typeof TROUBLE, error: unknown): void {
    const now = this.clock.monotonic();
    const failing = this.#failing.get(action);
    const isKnown = failing !== undefined && (!failing.isOver || now - failing.since < QUIET_MS);
    this.#failing.set(action, { since: isKnown ? failing.since : now, isOver: false });
    if (isKnown) return;
    const fields = { cache: this.store.name, reason: messageOf(error) };
    this.emit({ type: "warning", message: TROUBLE[action], fields });
  }
}
