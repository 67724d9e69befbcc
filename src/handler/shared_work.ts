import type { Clock } from "../core/clock.ts";
import { DewyError, RemoteError } from "../core/error.ts";
import { TimeoutError, withTimeout } from "../core/timeout.ts";

interface Flight<T> {
  work: Promise<T>;
  startedAt: number;
}

interface Failure {
  error: DewyError;
  until: number;
}

/** Keys come from outside, so what is kept is limited. */
export const MAX_KEPT = 256;
/** How long a failure is answered from memory, so that clients cannot repeat it at the registry. */
const FAILURE_MS = 5_000;

/**
 * Questions to registries, shared by all requests: each is asked once at a time. A runtime may drop the work of a request
 * whose client has gone, so nobody waits longer than the timeout for another request's work.
 */
export class SharedWork<T> {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #flights = new Map<string, Flight<T>>();
  readonly #failures = new Map<string, Failure>();

  constructor({ clock, timeoutMs }: { clock: Clock; timeoutMs: number }) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** @param url The registry: if it asks for a pause, none of its questions is asked before the end. */
  async run(url: string, key: string, start: () => Promise<T>): Promise<T> {
    const now = this.#clock.now();
    for (const one of [url, key]) {
      const failure = this.#failures.get(one);
      if (failure !== undefined && now < failure.until) throw failure.error;
    }
    const running = this.#flights.get(key);
    const flight =
      running !== undefined && now - running.startedAt < this.#timeoutMs
        ? running
        : this.#start(url, key, start);
    const ms = 2 * this.#timeoutMs;
    try {
      return await withTimeout(flight.work, { clock: this.#clock, ms, what: "answer" });
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      const message = `Cannot ask the registry: no answer within ${ms / 1000} s`;
      throw new RemoteError(message, { code: "timeout", cause: error });
    }
  }

  #start(url: string, key: string, start: () => Promise<T>): Flight<T> {
    const work = start()
      .catch((error: unknown) => {
        if (error instanceof DewyError) this.#remember(url, key, error);
        throw error;
      })
      .finally(() => {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
      });
    const flight: Flight<T> = { startedAt: this.#clock.now(), work };
    // It rejects for those who wait for it.
    work.catch(() => {});
    keep(this.#flights, key, flight);
    return flight;
  }

  #remember(url: string, key: string, error: DewyError): void {
    const pauseMs = error instanceof RemoteError ? error.retryAfterMs : undefined;
    const until = this.#clock.now() + Math.max(FAILURE_MS, pauseMs ?? 0);
    keep(this.#failures, pauseMs === undefined ? key : url, { error, until });
  }
}

/** Stores a value, and drops the oldest one if there are too many. */
export function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MAX_KEPT && oldest !== undefined) map.delete(oldest);
}
