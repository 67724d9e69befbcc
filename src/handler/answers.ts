import type { Clock } from "../core/clock.ts";
import { DewyError, RemoteError } from "../core/error.ts";
import { TimeoutError, withTimeout } from "../core/timeout.ts";
import type { Platform, Resolution } from "../core/types.ts";
import { formatPlatformSegment } from "../platform/platform_segment.ts";
import { openRegistry, type RegistryOptions } from "../registries/open.ts";

export interface AnswerOptions {
  library: RegistryOptions;
  clock: Clock;
  maxAgeMs: number;
  staleMs: number;
  timeoutMs: number;
  waitUntil: ((work: Promise<unknown>) => void) | undefined;
}

interface Known {
  resolution: Resolution;
  at: number;
}

interface Flight {
  answer: Promise<Known>;
  startedAt: number;
}

interface Failure {
  error: DewyError;
  until: number;
}

/** Platforms come from outside, so the number of answers is limited. */
const MAX_KNOWN = 256;
/** How long a failure is answered from memory, so that clients cannot repeat it at the registry. */
const FAILURE_MS = 5_000;

/**
 * The answers of registries, shared by all requests: each is fetched once at a time and kept for a while. A runtime may
 * drop the work of a request whose client has gone, so nobody waits longer than the timeout for another request's work.
 */
export class Answers {
  readonly #options: AnswerOptions;
  readonly #known = new Map<string, Known>();
  readonly #ready = new Map<string, Known>();
  readonly #failed = new Map<string, Failure>();
  readonly #flights = new Map<string, Flight>();

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  /** The newest version for a platform, or the last known one while the registry fails. */
  async newest(url: string, platform: Platform, explain: boolean): Promise<Resolution> {
    const key = `${url} ${formatPlatformSegment(platform)}${explain ? " explained" : ""}`;
    const { clock, maxAgeMs, staleMs, waitUntil } = this.#options;
    const known = this.#known.get(key);
    const age = known === undefined ? Number.POSITIVE_INFINITY : clock.now() - known.at;
    if (known !== undefined && age < maxAgeMs) return known.resolution;
    const isUsable = known !== undefined && age < maxAgeMs + staleMs;
    const asked = this.#ask(key, url, platform, explain);
    if (isUsable && waitUntil !== undefined) {
      waitUntil(asked.catch(() => {}));
      return known.resolution;
    }
    try {
      return (await asked).resolution;
    } catch (error) {
      if (isUsable) return known.resolution;
      throw error;
    }
  }

  /** A version that this handler has answered with lately; `undefined` for any other. */
  recent(url: string, platform: Platform, tag: string): Resolution | undefined {
    return this.#ready.get(`${url} ${formatPlatformSegment(platform)} ${tag}`)?.resolution;
  }

  async #ask(key: string, url: string, platform: Platform, explain: boolean): Promise<Known> {
    const { clock, timeoutMs } = this.#options;
    const now = clock.now();
    const failed = this.#failed.get(key);
    if (failed !== undefined && now < failed.until) throw failed.error;
    const running = this.#flights.get(key);
    const flight =
      running !== undefined && now - running.startedAt < timeoutMs
        ? running
        : this.#start(key, url, platform, explain);
    try {
      return await withTimeout(flight.answer, { clock, ms: 2 * timeoutMs, what: "answer" });
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      const message = `Cannot ask the registry: no answer within ${(2 * timeoutMs) / 1000} s`;
      throw new RemoteError(message, { code: "timeout", cause: error });
    }
  }

  #start(key: string, url: string, platform: Platform, explain: boolean): Flight {
    const { clock } = this.#options;
    const flight: Flight = {
      startedAt: clock.now(),
      answer: this.#fetch(key, url, platform, explain).finally(() => {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
      }),
    };
    // It rejects for those who wait for it.
    flight.answer.catch(() => {});
    put(this.#flights, key, flight);
    return flight;
  }

  async #fetch(key: string, url: string, platform: Platform, explain: boolean): Promise<Known> {
    const { clock, library } = this.#options;
    try {
      const resolution = await openRegistry(url, { ...library, platform }).resolve({ explain });
      const known = { resolution, at: clock.now() };
      put(this.#known, key, known);
      this.#failed.delete(key);
      if (resolution.kind === "ready") {
        const { tag } = resolution.release;
        put(this.#ready, `${url} ${formatPlatformSegment(platform)} ${tag}`, known);
      }
      return known;
    } catch (error) {
      if (error instanceof DewyError) {
        const pauseMs = error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0;
        put(this.#failed, key, { error, until: clock.now() + Math.max(FAILURE_MS, pauseMs) });
      }
      throw error;
    }
  }
}

function put<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MAX_KNOWN && oldest !== undefined) map.delete(oldest);
}
