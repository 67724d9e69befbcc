import { abortWith } from "../core/abort_with.ts";
import type { Clock } from "../core/clock.ts";
import { DewyError, RemoteError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { formatPlatform } from "../core/platform.ts";
import type { Platform, Registry, Resolution } from "../core/types.ts";

/** How often a registry is asked, and for how long an answer lasts. */
export interface PollOptions {
  /** The shortest time between two polls, in milliseconds. */
  intervalMs: number;
  /** How old an answer may become while the registry cannot be asked, in milliseconds. */
  maxStaleMs: number;
  /** Time. */
  clock: Clock;
  /** Hears of polls and of what failed. */
  emit: EventSink;
  /** Ends what is under way. */
  signal: AbortSignal;
}

/** What became of the last polls. */
export type PollState = "idle" | "ok" | "stale" | "failing";

interface Answer {
  resolution: Resolution;
  poll: number;
  at: number;
}

/** For how many kinds of machines one process answers. */
export const MAX_PLATFORMS: number = 64;
/** A poll that takes longer is given up, in milliseconds. */
const POLL_TIMEOUT_MS = 60_000;
/** Who has an answer from the poll before waits no longer than this for a new one, in milliseconds. */
const PATIENCE_MS = 1_000;

/**
 * A registry that many machines ask through this one process: whatever they ask at whatever time, it is polled at most
 * once an interval, and one listing answers for all of them where the registry can do that.
 */
export class PolledRegistry {
  /** The registry itself. */
  readonly registry: Registry;
  readonly #options: PollOptions;
  readonly #answers = new Map<string, Answer>();
  readonly #asking = new Map<string, Promise<void>>();
  #poll = 0;
  #nextPollAt = Number.NEGATIVE_INFINITY;
  #pollStartedAt = 0;
  #failure: DewyError | undefined;
  #failures = 0;
  #queue: Promise<void> = Promise.resolve();

  /**
   * @param registry the registry. Unless it is for any platform, it is only ever asked for its own.
   * @param options its pace, and the world.
   */
  constructor(registry: Registry, options: PollOptions) {
    this.registry = registry;
    this.#options = options;
  }

  /**
   * Finds the newest version for a machine: the answer of the current poll, else, while the registry cannot be asked,
   * the last one.
   *
   * @param platform the machine.
   * @returns the answer.
   * @throws DewyError when the registry cannot be asked and no answer is young enough.
   */
  async current(platform: Platform): Promise<Resolution> {
    const key = formatPlatform(platform);
    this.#begin();
    const known = this.#answers.get(key);
    if (known?.poll === this.#poll) return known.resolution;
    if (this.#failure === undefined) {
      const asked = this.#ask(key, platform);
      await (this.#isRecent(known) ? this.#notLongerThan(PATIENCE_MS, asked) : asked);
    }
    return this.#last(key);
  }

  /** What became of the last polls: `stale` while old answers are served, `failing` when there is none left. */
  get state(): PollState {
    if (this.#failures === 0) return this.#answers.size === 0 ? "idle" : "ok";
    const now = this.#options.clock.now();
    const young = [...this.#answers.values()].some(({ at }) => this.#isYoung(at, now));
    return young ? "stale" : "failing";
  }

  /** Makes the next question poll, however short ago the last poll was. */
  expire(): void {
    this.#nextPollAt = Number.NEGATIVE_INFINITY;
  }

  #begin(): void {
    const now = this.#options.clock.now();
    if (now < this.#nextPollAt || this.#asking.size > 0) return;
    this.#poll += 1;
    this.#pollStartedAt = now;
    this.#nextPollAt = now + this.#options.intervalMs;
    this.#failure = undefined;
  }

  /** One question at a time: the first one lists, the others find the listing. */
  #ask(key: string, platform: Platform): Promise<void> {
    const asking = this.#asking.get(key);
    if (asking !== undefined) return asking;
    const asked = this.#queue
      .then(() => this.#question(key, platform))
      .finally(() => this.#asking.delete(key));
    this.#asking.set(key, asked);
    this.#queue = asked;
    return asked;
  }

  async #question(key: string, platform: Platform): Promise<void> {
    if (this.#failure !== undefined) return;
    const { clock, emit } = this.#options;
    const startedAt = clock.now();
    try {
      const resolution = await this.#within(POLL_TIMEOUT_MS, (signal) =>
        this.registry.current({
          signal,
          ...(this.registry.anyPlatform === true
            ? { platform, maxAgeMs: startedAt - this.#pollStartedAt }
            : {}),
        }),
      );
      this.#remember(key, resolution);
      emit({ type: "upstream-polled", platform: key, durationMs: clock.now() - startedAt });
      if (this.#failures > 0) emit({ type: "succeeded-again", after: this.#failures });
      this.#failures = 0;
    } catch (error) {
      if (!this.#options.signal.aborted) this.#fail(asUpstreamError(error));
      else this.#failure = asUpstreamError(error);
    }
  }

  #fail(error: DewyError): void {
    const { clock, emit, intervalMs } = this.#options;
    this.#failure = error;
    this.#failures += 1;
    const now = clock.now();
    const pauseMs = Math.max(
      intervalMs,
      error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0,
    );
    this.#nextPollAt = Math.max(this.#nextPollAt, now + pauseMs);
    const newest = Math.max(...[...this.#answers.values()].map(({ at }) => at));
    const servedMs = this.#isYoung(newest, now) ? now - newest : undefined;
    emit({ type: "upstream-failed", error, count: this.#failures, servedMs, retryInMs: pauseMs });
  }

  #last(key: string): Resolution {
    const known = this.#answers.get(key);
    if (known !== undefined && known.poll === this.#poll) return known.resolution;
    if (known !== undefined && this.#isYoung(known.at, this.#options.clock.now())) {
      return known.resolution;
    }
    throw this.#failure ?? new RemoteError("The upstream registry has not answered yet");
  }

  #isYoung(at: number, now: number): boolean {
    return now - at <= this.#options.maxStaleMs;
  }

  #isRecent(answer: Answer | undefined): boolean {
    const { clock, intervalMs } = this.#options;
    return answer !== undefined && clock.now() - answer.at <= 2 * intervalMs + POLL_TIMEOUT_MS;
  }

  /** Names of platforms come from outside: whatever is asked for, the memory stays small. */
  #remember(key: string, resolution: Resolution): void {
    this.#answers.delete(key);
    this.#answers.set(key, { resolution, poll: this.#poll, at: this.#pollStartedAt });
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > MAX_PLATFORMS && oldest !== undefined) this.#answers.delete(oldest);
  }

  async #notLongerThan(ms: number, work: Promise<void>): Promise<void> {
    const done = new AbortController();
    const slept = this.#options.clock.sleep(ms, done.signal).catch(() => {});
    await Promise.race([work, slept]);
    done.abort();
  }

  async #within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, signal } = this.#options;
    const done = new AbortController();
    const timeout = new AbortController();
    const letGo = [done, timeout].map((controller) => abortWith(controller, signal));
    const timedOut = clock.sleep(ms, done.signal).then(() => {
      const error = new RemoteError(`The upstream registry did not answer within ${ms / 1000} s`, {
        code: "timeout",
      });
      timeout.abort(error);
      throw error;
    });
    timedOut.catch(() => {}); // When the work is done, nobody listens any more.
    try {
      return await Promise.race([work(timeout.signal), timedOut]);
    } finally {
      for (const release of letGo) release();
      done.abort();
    }
  }
}

function asUpstreamError(error: unknown): DewyError {
  if (error instanceof DewyError) return error;
  const reason = messageOf(error);
  return new RemoteError(`The upstream registry failed: ${reason}`, { cause: error });
}
