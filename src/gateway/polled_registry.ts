import { abortWith } from "../core/abort_with.ts";
import type { Clock } from "../core/clock.ts";
import { DewyError, RemoteError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Platform, Registry, Resolution } from "../core/types.ts";
import { formatPlatform } from "../platform/platform.ts";

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

interface Question {
  key: string;
  platform: Platform;
  artifact: string | undefined;
  /** Where its answer is kept, and how many are kept there. */
  answers: Map<string, Answer>;
  limit: number;
}

/** For how many kinds of machines one process answers. */
export const MAX_PLATFORMS: number = 64;
/** How many answers about artifacts that were asked for by name are kept. */
const MAX_NAMED = 64;
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
  // Apart from the others, so that names from outside never displace an answer for a kind of machine.
  readonly #named = new Map<string, Answer>();
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
   * @param artifact the name of the artifact it wants; defaults to the one for its platform.
   * @returns the answer.
   * @throws DewyError when the registry cannot be asked and no answer is young enough.
   */
  async current(platform: Platform, artifact?: string): Promise<Resolution> {
    const question = this.#questionOf(platform, artifact);
    this.#begin();
    const known = question.answers.get(question.key);
    if (known?.poll === this.#poll) return known.resolution;
    if (this.#failure === undefined) {
      const asked = this.#ask(question);
      await (this.#isRecent(known) ? this.#notLongerThan(PATIENCE_MS, asked) : asked);
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

  /** What became of the last polls: `stale` while old answers are served, `failing` when there is none left. */
  get state(): PollState {
    const times = this.#answeredAt();
    if (this.#failures === 0) return times.length === 0 ? "idle" : "ok";
    const now = this.#options.clock.now();
    return times.some((at) => this.#isYoung(at, now)) ? "stale" : "failing";
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
      const resolution = await this.#within(POLL_TIMEOUT_MS, (signal) =>
        this.registry.resolve({
          signal,
          ...(this.registry.anyPlatform === true
            ? { platform, maxAgeMs: startedAt - this.#pollStartedAt }
            : {}),
          ...(artifact === undefined ? {} : { artifact }),
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
    const servedMs = this.#isYoung(newest, now) ? now - newest : undefined;
    emit({ type: "upstream-failed", error, count: this.#failures, servedMs, retryInMs: pauseMs });
  }

  #last({ key, answers }: Question): Resolution {
    const known = answers.get(key);
    if (known !== undefined && known.poll === this.#poll) return known.resolution;
    if (known !== undefined && this.#isYoung(known.at, this.#options.clock.now())) {
      return known.resolution;
    }
    throw this.#failure ?? new RemoteError("The upstream registry has not answered yet");
  }

  #answeredAt(): number[] {
    return [...this.#answers.values(), ...this.#named.values()].map(({ at }) => at);
  }

  #isYoung(at: number, now: number): boolean {
    return now - at <= this.#options.maxStaleMs;
  }

  #isRecent(answer: Answer | undefined): boolean {
    const { clock, intervalMs } = this.#options;
    return answer !== undefined && clock.now() - answer.at <= 2 * intervalMs + POLL_TIMEOUT_MS;
  }

  /** Names of platforms and artifacts come from outside, so the number of answers is limited. */
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
