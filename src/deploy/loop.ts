/**
 * Polling: a steady pace, a growing pause after failures, never faster than the registry asks.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { DeployError, DewyError, HostError, RemoteError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";

/** The longest pause that failures alone can cause. */
const MAX_PAUSE_MS = 5 * 60_000;
/** Fleets that were started together must not poll together. */
const JITTER = 0.1;

/** What the loop needs. */
export interface LoopOptions {
  /** One round; a returned error is a problem that did not fail the round. */
  round(signal: AbortSignal): Promise<DewyError | undefined>;
  /** The pause between two rounds, in milliseconds. */
  intervalMs: number;
  /** Resolves when somebody wants the next round now. */
  wake(signal: AbortSignal): Promise<void>;
  clock: Clock;
  emit: EventSink;
  /** Ends the loop. */
  signal: AbortSignal;
  /** A number in [0, 1); the default is `Math.random`. */
  random?: () => number;
}

/**
 * Runs rounds until the signal ends it.
 *
 * @param options the round, its pace and the world.
 * @returns when the signal is aborted.
 */
export async function pollLoop(options: LoopOptions): Promise<void> {
  const { clock, emit, signal } = options;
  let failures = 0;
  while (!signal.aborted) {
    const error = await attempt(options);
    if (signal.aborted) return;
    if (error === undefined) {
      if (failures > 0) emit({ type: "succeeded-again", after: failures });
      failures = 0;
    } else {
      failures++;
    }
    const pauseMs = pauseAfter(error, failures, options);
    if (error !== undefined) emit(failedEvent(error, failures, pauseMs));
    await pause(pauseMs, options.wake, clock, signal);
  }
}

/**
 * The event that tells of a failure.
 *
 * @param error what failed.
 * @param count how many rounds in a row have failed.
 * @param retryInMs the pause until the next round; `undefined` when there is none.
 * @returns the event.
 */
export function failedEvent(
  error: DewyError,
  count: number,
  retryInMs: number | undefined,
): Parameters<EventSink>[0] {
  const phase = error instanceof DeployError ? error.phase : "resolve";
  return { type: "failed", phase, tag: undefined, error, count, retryInMs };
}

/**
 * Makes a dewy error of whatever was thrown.
 *
 * @param error anything.
 * @returns a dewy error; foreign ones become a {@link HostError}.
 */
export function asDewyError(error: unknown): DewyError {
  if (error instanceof DewyError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new HostError(`Unexpected failure: ${message}`, { cause: error });
}

async function attempt(options: LoopOptions): Promise<DewyError | undefined> {
  try {
    return await options.round(options.signal);
  } catch (error) {
    return asDewyError(error);
  }
}

function pauseAfter(error: DewyError | undefined, failures: number, options: LoopOptions): number {
  const random = options.random ?? Math.random;
  const growth = failures === 0 ? 1 : 2 ** Math.min(failures - 1, 20);
  const longest = Math.max(MAX_PAUSE_MS, options.intervalMs);
  const pauseMs = Math.min(options.intervalMs * growth, longest);
  const jittered = pauseMs * (1 - JITTER + 2 * JITTER * random());
  // Never earlier than asked, and not all of a fleet in the same moment.
  const asked = retryAfterMs(error) * (1 + JITTER * random());
  return Math.round(Math.max(jittered, asked));
}

function retryAfterMs(error: unknown): number {
  if (error instanceof RemoteError) return error.retryAfterMs ?? 0;
  return error instanceof DewyError && error.cause !== undefined ? retryAfterMs(error.cause) : 0;
}

async function pause(
  ms: number,
  wake: LoopOptions["wake"],
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const done = new AbortController();
  const either = AbortSignal.any([signal, done.signal]);
  const quietly = (work: Promise<void>): Promise<void> => work.catch(() => {});
  await Promise.race([quietly(clock.sleep(ms, either)), quietly(wake(either))]);
  done.abort();
}
