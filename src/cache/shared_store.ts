import type { Clock } from "../core/clock.ts";
import { RemoteError } from "../core/error.ts";
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
/** A timer that fires later than this shows that the process had no time to run: the store may have answered. */
const STALL_MS = 500;
/** So that two attempts and the pause between them are shorter than a poll may be. */
const MAX_STALLS = 1;
const FIRST_WAIT_MS = 250;
/** How long a store that was slow once is left alone. Operations wait for the end, so that no crowd goes upstream. */
const BREATHER_MS = 10_000;
/** How long a store that is slow again is left alone. Operations fail meanwhile. */
const PAUSE_MS = 30_000;
const QUIET_MS = 10 * 60_000;

const TROUBLE = {
  read: "Cannot read the cache; this machine asks the registry itself",
  write: "Cannot write to the cache; this machine shares nothing with others",
  prune: "Cannot prune the cache; expired objects stay in it",
};

export interface TryOptions {
  /** Defaults to ten seconds. */
  ms?: number | undefined;
  /** Whether the operation may be run again if the store was slow. Defaults to true for reads. */
  isRepeatable?: boolean | undefined;
}

/** `isSlow`: the store may do it later. Otherwise it refuses, or is down. */
export type Tried<T> = { value: T } | { error: unknown; isSlow: boolean };

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
  /** Operations in a row that were too slow. */
  #slow = 0;
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

  /**
   * Runs one operation. A slow store gets a second chance, after a pause that differs between machines. Rejects only if
   * `signal` is aborted.
   */
  async try<T>(
    action: keyof typeof TROUBLE,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
    { ms = OPERATION_MS, isRepeatable = action === "read" }: TryOptions = {},
  ): Promise<Tried<T>> {
    for (let isAgain = false; ; isAgain = true) {
      const leftMs = this.#pausedUntil - this.clock.monotonic();
      if (action !== "prune" && leftMs > 0) {
        if (this.#slow > 1) return { error: new TimeoutError("result", ms), isSlow: true };
        await this.clock.sleep(leftMs, signal);
      }
      try {
        const value = await withDeadline(unlessStalled(this.clock), ms, signal, work);
        this.#slow = 0;
        const failing = this.#failing.get(action);
        if (failing !== undefined) failing.isOver = true;
        return { value };
      } catch (error) {
        signal?.throwIfAborted();
        const isSlow = isSlowness(error);
        if (isSlow && action !== "prune") this.#pause();
        if (isSlow && isRepeatable && !isAgain && this.#slow === 1) continue;
        this.#report(action, error);
        return { error, isSlow };
      }
    }
  }

  /** Several operations can be slow at once: they count as one. */
  #pause(): void {
    const now = this.clock.monotonic();
    if (now < this.#pausedUntil) return;
    this.#slow += 1;
    const { random = Math.random } = this.#options;
    const ms = this.#slow > 1 ? PAUSE_MS : BREATHER_MS * (0.5 + random() / 2);
    this.#pausedUntil = now + ms;
  }

  /** Whether the store obeys conditions, as found at the first call. Also `false` if it cannot tell now. */
  async isAtomic(signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#isAtomic !== undefined) return this.#isAtomic;
    const asked = await this.try("write", signal, (limited) => this.store.isAtomic(limited), {
      isRepeatable: true,
    });
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

/** Without an answer in time, or throttled. */
function isSlowness(error: unknown): boolean {
  if (error instanceof TimeoutError) return true;
  return error instanceof RemoteError && (error.status === 503 || error.code === "rate-limited");
}

/** A clock whose sleeps begin again when they end late, since then nothing else could run either. */
function unlessStalled(clock: Clock): Clock {
  return {
    ...clock,
    async sleep(ms, signal) {
      for (let stalls = 0; stalls <= MAX_STALLS; stalls += 1) {
        const start = clock.monotonic();
        await clock.sleep(ms, signal);
        if (clock.monotonic() - start < ms + STALL_MS) return;
      }
    },
  };
}
