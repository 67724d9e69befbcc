import type { Context } from "../core/context.ts";
import { DewyError, RemoteError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import { TimeoutError, withDeadline } from "../core/timeout.ts";
import type { Platform, Registry, Resolution } from "../core/types.ts";
import { formatPlatform } from "../platform/platform.ts";

export interface PollOptions extends Pick<Context, "clock" | "emit"> {
  intervalMs: number;
  /** How old an answer may be while the registry is unavailable, in milliseconds. */
  maxStaleMs: number;
  signal: AbortSignal;
}

/** `stale` while old answers are served, `failing` when they have expired. */
export type PollState = "idle" | "ok" | "stale" | "failing";

interface Answer {
  resolution: Resolution;
  poll: number;
  at: number;
}

interface Question {
  key: string;
  platform: Platform;
  artifact: string | undefined;
  answers: Map<string, Answer>;
  limit: number;
}

export const MAX_PLATFORMS: number = 64;
/** How many answers about artifacts requested by name are kept. */
const MAX_NAMED = 64;
const POLL_TIMEOUT_MS = 60_000;
/** How long a client waits for a new answer if there is a recent one, in milliseconds. */
const MAX_WAIT_MS = 1_000;

/**
 * Shares one registry between many clients: it is polled at most once an interval, and one listing serves all platforms
 * if the registry supports that.
 */
export class PolledRegistry {
  readonly registry: Registry;
  readonly #options: PollOptions;
  readonly #answers = new Map<string, Answer>();
  // Separate, so that names from outside do not evict the answer for a platform.
  readonly #named = new Map<string, Answer>();
  readonly #asking = new Map<string, Promise<void>>();
  #poll = 0;
  #nextPollAt = Number.NEGATIVE_INFINITY;
  #pollStartedAt = 0;
  #failure: DewyError | undefined;
  #failures = 0;
  #queue: Promise<void> = Promise.resolve();

  constructor(registry: Registry, options: PollOptions) {
    this.registry = registry;
    this.#options = options;
  }

  /**
   * Returns the newest version for a platform: the answer of the current poll or, while the registry is unavailable, the
   * last one. Rejects when that has expired. `artifact` defaults to the one for the platform.
   */
  async current(platform: Platform, artifact?: string): Promise<Resolution> {
    const question = this.#questionOf(platform, artifact);
    this.#begin();
    const known = question.answers.get(question.key);
    if (known?.poll === this.#poll) return known.resolution;
    if (this.#failure === undefined) {
      const asked = this.#ask(question);
      await (this.#isRecent(known) ? this.#notLongerThan(MAX_WAIT_MS, asked) : asked);
    }
    return this.#last(question);
  }

  #questionOf(platform: Platform, artifact: string | undefined): Question {
    const key = formatPlatform(platform);
    if (artifact === undefined || this.registry.anyPlatform !== true) {
      return { key, platform, artifact: undefined, answers: this.#answers, limit: MAX_PLATFORMS };
    }
    const named = `${key}/${artifact}`;
    return { key: named, platform, artifact, answers: this.#named, limit: MAX_NAMED };
  }

  get state(): PollState {
    const times = this.#answeredAt();
    if (this.#failures === 0) return times.length === 0 ? "idle" : "ok";
    const now = this.#options.clock.now();
    return times.some((at) => this.#isFresh(at, now)) ? "stale" : "failing";
  }

  /** Makes the next request poll, regardless of the interval. */
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

  /** One question at a time: the first one lists, the others reuse the listing. */
  #ask(question: Question): Promise<void> {
    const { key } = question;
    const asking = this.#asking.get(key);
    if (asking !== undefined) return asking;
    const asked = this.#queue
      .then(() => this.#question(question))
      .finally(() => this.#asking.delete(key));
    this.#asking.set(key, asked);
    this.#queue = asked;
    return asked;
  }

  async #question(question: Question): Promise<void> {
    const { platform, artifact } = question;
    if (this.#failure !== undefined) return;
    const { clock, emit } = this.#options;
    const startedAt = clock.now();
    try {
      const resolution = await this.#withTimeout((signal) =>
        this.registry.resolve({
          signal,
          ...(this.registry.anyPlatform === true && {
            platform,
            maxAgeMs: startedAt - this.#pollStartedAt,
          }),
          artifact,
        }),
      );
      this.#remember(question, resolution);
      const durationMs = clock.now() - startedAt;
      emit({ type: "upstream-polled", platform: formatPlatform(platform), durationMs });
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
    const newest = Math.max(...this.#answeredAt());
    const servedMs = this.#isFresh(newest, now) ? now - newest : undefined;
    emit({ type: "upstream-failed", error, count: this.#failures, servedMs, retryInMs: pauseMs });
  }

  #last({ key, answers }: Question): Resolution {
    const known = answers.get(key);
    if (known !== undefined && known.poll === this.#poll) return known.resolution;
    if (known !== undefined && this.#isFresh(known.at, this.#options.clock.now())) {
      return known.resolution;
    }
    throw this.#failure ?? new RemoteError("The upstream registry has not answered yet");
  }

  #answeredAt(): number[] {
    return [...this.#answers.values(), ...this.#named.values()].map(({ at }) => at);
  }

  #isFresh(at: number, now: number): boolean {
    return now - at <= this.#options.maxStaleMs;
  }

  #isRecent(answer: Answer | undefined): boolean {
    const { clock, intervalMs } = this.#options;
    return answer !== undefined && clock.now() - answer.at <= 2 * intervalMs + POLL_TIMEOUT_MS;
  }

  /** The number of answers is limited, since names of platforms and artifacts come from outside. */
  #remember({ key, answers, limit }: Question, resolution: Resolution): void {
    answers.delete(key);
    answers.set(key, { resolution, poll: this.#poll, at: this.#pollStartedAt });
    const [oldest] = answers.keys();
    if (answers.size > limit && oldest !== undefined) answers.delete(oldest);
  }

  async #notLongerThan(ms: number, work: Promise<void>): Promise<void> {
    const done = new AbortController();
    const slept = this.#options.clock.sleep(ms, done.signal).catch(() => {});
    await Promise.race([work, slept]);
    done.abort();
  }

  async #withTimeout<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, signal } = this.#options;
    try {
      return await withDeadline(clock, POLL_TIMEOUT_MS, signal, work);
    } catch (cause) {
      if (!(cause instanceof TimeoutError)) throw cause;
      const message = `The upstream registry did not answer within ${POLL_TIMEOUT_MS / 1000} s`;
      throw new RemoteError(message, { code: "timeout", cause });
    }
  }
}

function asUpstreamError(error: unknown): DewyError {
  if (error instanceof DewyError) return error;
  const reason = messageOf(error);
  return new RemoteError(`The upstream registry failed: ${reason}`, { cause: error });
}
