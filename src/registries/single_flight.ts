import { type Clock, systemClock } from "../core/clock.ts";
import { abortWith, stoppedError, TimeoutError, withTimeout } from "../core/timeout.ts";
import { redactUrl } from "../core/url.ts";
import { runtimeEnvironment } from "./load.ts";

interface Flight<T> {
  answer: Promise<T>;
  /** How many callers wait for it. */
  waiting: number;
  stop: AbortController;
}

/** The options of a question, as far as they matter here. */
interface Asked {
  signal?: AbortSignal | undefined;
  clock?: Clock | undefined;
  env?: Readonly<Record<string, unknown>> | undefined;
  fetch?: typeof globalThis.fetch | undefined;
}

const flights = new Map<string, Flight<unknown>>();
/** Options that are data: equal ones are the same. Of all other objects, only the same one is. */
const DATA: ReadonlySet<string> = new Set(["platform", "env", "registryLogin", "exclude"]);
/**
 * How long a question of another caller is waited for. In Workers it ends with the request that asked it, without any
 * notice: https://developers.cloudflare.com/workers/observability/errors/#cannot-perform-io-on-behalf-of-a-different-request
 */
const PATIENCE_MS = 3_000;

/**
 * Asks once for all callers that ask the same thing at the same time. A caller that aborts leaves; the question is aborted
 * with the last one.
 */
export async function singleFlight<O extends Asked, T>(
  url: string,
  options: O,
  ask: (options: O & { signal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const key = keyOf(url, options);
  const running = flights.get(key) as Flight<T> | undefined;
  if (running !== undefined) {
    const { clock = systemClock } = options;
    const what = "answer to a question that is under way";
    const patience = { clock, ms: PATIENCE_MS, what };
    const answer = await waitFor(running, key, url, options, (one) => withTimeout(one, patience));
    if (answer !== LATE) return structuredClone(answer);
    land(key, running);
    return singleFlight(url, options, ask);
  }
  const stop = new AbortController();
  const flight: Flight<T> = { answer: ask({ ...options, signal: stop.signal }), waiting: 0, stop };
  flights.set(key, flight);
  flight.answer.catch(() => {}).finally(() => land(key, flight));
  return (await waitFor(flight, key, url, options)) as T;
}

const LATE = Symbol("late");

/** Rejects as soon as the caller's signal aborts. */
async function waitFor<T>(
  flight: Flight<T>,
  key: string,
  url: string,
  { signal }: Asked,
  inTime: (answer: Promise<T>) => Promise<T> = (answer) => answer,
): Promise<T | typeof LATE> {
  const left = new AbortController();
  const detach = signal && abortWith(left, signal);
  const aborted = new Promise<never>((_, reject) => {
    const fail = (): void =>
      reject(stoppedError(`the question to ${redactUrl(url)}`, signal?.reason));
    if (left.signal.aborted) fail();
    else left.signal.addEventListener("abort", fail, { once: true });
  });
  flight.waiting += 1;
  try {
    return await Promise.race([inTime(flight.answer), aborted]);
  } catch (error) {
    if (error instanceof TimeoutError) return LATE;
    throw error;
  } finally {
    detach?.();
    flight.waiting -= 1;
    if (flight.waiting === 0) {
      land(key, flight);
      flight.stop.abort(signal?.reason);
    }
  }
}

function land<T>(key: string, flight: Flight<T>): void {
  if (flights.get(key) === flight) flights.delete(key);
}

/** Differs wherever the answer could. It never leaves this module. */
function keyOf(url: string, options: Asked): string {
  const { env = runtimeEnvironment(), fetch = globalThis.fetch } = options;
  const parts = Object.entries({ ...options, env, fetch, signal: undefined })
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => [name, DATA.has(name) ? contentsOf(value) : identityOf(value)]);
  return JSON.stringify([url, parts]);
}

function contentsOf(value: unknown): unknown {
  return typeof value === "object" && value !== null
    ? Object.entries(value).map(([name, part]) => [name, identityOf(part)])
    : identityOf(value);
}

const identities = new WeakMap<object, number>();
let lastIdentity = 0;

function identityOf(value: unknown): unknown {
  if (typeof value !== "function" && (typeof value !== "object" || value === null)) return value;
  const known = identities.get(value) ?? ++lastIdentity;
  identities.set(value, known);
  return { id: known };
}
