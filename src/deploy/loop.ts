/**
 * Polling: a steady pace, a growing pause while the registry fails, never faster than it asks. A version that fails
 * does not slow it down: what mends it is noticed at the next poll.
 *
 * @module
 */
import { abortWith } from "../core/abort_with.ts";
import type { Clock } from "../core/clock.ts";
import { DeployError, DewyError, HostError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { askedPauseMs, backoffMs } from "./backoff.ts";

/** How a round ended in which the registry answered. Times are in milliseconds since the epoch. */
export type RoundOutcome =
  | { kind: "fine" }
  /** A version is baking, or waits for its retry: neither a success nor a failure. */
  | { kind: "waiting"; retryAt?: number }
  /** There is nothing to deploy, and that is wrong. */
  | { kind: "problem"; error: DewyError }
  /** A version was not deployed; without `retryAt` it is not tried again. */
  | { kind: "failed"; tag: string; error: DewyError; retryAt: number | undefined };

/** What the loop needs. */
export interface LoopOptions {
  /**
   * One round; throws when the registry cannot be asked.
   *
   * @param report takes an outcome that is known only after the round.
   */
  round(signal: AbortSignal, report: (outcome: RoundOutcome) => void): Promise<RoundOutcome>;
  /** The pause between two rounds, in milliseconds. */
  intervalMs: number;
  /**
   * Hears when somebody wants a round now; during a round, one more after it.
   *
   * @returns a function that unsubscribes.
   */
  onWake(listener: () => void): () => void;
  clock: Clock;
  emit: EventSink;
  /** Ends the loop. */
  signal: AbortSignal;
  /** A number in [0, 1); the default is `Math.random`. */
  random?: () => number;
}

type LoopOutcome = RoundOutcome | { kind: "unreachable"; error: DewyError };

/**
 * Runs rounds until the signal ends it.
 *
 * @param options the round, its pace and the world.
 * @returns when the signal is aborted.
 */
export async function pollLoop(options: LoopOptions): Promise<void> {
  const { clock, signal } = options;
  const bell = new Bell();
  const unsubscribe = options.onWake(() => bell.ring());
  const report = reporter(options);
  let unreachable = 0;
  try {
    while (!signal.aborted) {
      const outcome = await attempt(options, report);
      if (signal.aborted) return;
      unreachable = outcome.kind === "unreachable" ? unreachable + 1 : 0;
      const pauseMs = pauseAfter(outcome, unreachable, options);
      report(outcome, pauseMs);
      await pause(pauseMs, bell, clock, signal);
    }
  } finally {
    unsubscribe();
  }
}

/**
 * The event that tells of a failure.
 *
 * @param error what failed.
 * @param count how many failures in a row.
 * @param details the version; the milliseconds until the next try, when there is one; whether it was told before.
 * @returns the event.
 */
export function failedEvent(
  error: DewyError,
  count: number,
  details: { tag?: string | undefined; retryInMs?: number | undefined; isRepeated?: boolean } = {},
): Parameters<EventSink>[0] {
  const { tag, retryInMs, isRepeated } = details;
  const phase = error instanceof DeployError ? error.phase : "resolve";
  const repeated = isRepeated ? { isRepeated } : {};
  return { type: "failed", phase, tag, error, count, retryInMs, ...repeated };
}

/**
 * Makes a dewy error of whatever was thrown.
 *
 * @param error anything.
 * @returns a dewy error; foreign ones become a {@link HostError}.
 */
export function asDewyError(error: unknown): DewyError {
  if (error instanceof DewyError) return error;
  const message = messageOf(error);
  return new HostError(`Unexpected failure: ${message}`, { cause: error });
}

async function attempt(options: LoopOptions, report: Report): Promise<LoopOutcome> {
  const { round, signal } = options;
  try {
    return await round(signal, (outcome) => report(outcome, 0));
  } catch (error) {
    return { kind: "unreachable", error: asDewyError(error) };
  }
}

type Report = (outcome: LoopOutcome, pauseMs: number) => void;

/** How long the same failure counts as repeated, in milliseconds. */
const REPEATED_MS = 3_600_000;

/** Tells of failures, with their number in a row, and of the success that ends the row. */
function reporter({ emit, clock }: LoopOptions): Report {
  let failures = 0;
  let told = "";
  let toldAt = 0;
  return (outcome, pauseMs) => {
    if (outcome.kind === "waiting") return;
    if (outcome.kind === "fine") {
      if (failures > 0) emit({ type: "succeeded-again", after: failures });
      failures = 0;
      told = "";
      return;
    }
    failures += 1;
    const { error } = outcome;
    const now = clock.monotonic();
    const isRepeated = told === error.message && now - toldAt < REPEATED_MS;
    if (!isRepeated) toldAt = now;
    told = error.message;
    if (outcome.kind !== "failed") {
      emit(failedEvent(error, failures, { retryInMs: pauseMs, isRepeated }));
      return;
    }
    const { tag, retryAt } = outcome;
    const retryInMs = retryAt === undefined ? undefined : Math.max(0, retryAt - clock.now());
    emit(failedEvent(error, failures, { tag, retryInMs, isRepeated }));
  };
}

function pauseAfter(outcome: LoopOutcome, unreachable: number, options: LoopOptions): number {
  const { intervalMs, clock, random = Math.random } = options;
  const pollMs = backoffMs(intervalMs, unreachable, random);
  if (outcome.kind === "fine") return pollMs;
  const retryInMs =
    "retryAt" in outcome && outcome.retryAt !== undefined
      ? Math.max(0, outcome.retryAt - clock.now())
      : undefined;
  const asks = "error" in outcome ? askedPauseMs(outcome.error, random) : 0;
  // The registry wants to be left alone, and what failed waits for that, too.
  if (asks > 0) return retryInMs ?? Math.max(asks, pollMs);
  // One round that is a bit early or late serves as both.
  return retryInMs !== undefined && retryInMs < 1.5 * intervalMs ? retryInMs : pollMs;
}

/** Remembers that it rang while nobody listened. */
class Bell {
  #rang = false;
  #hear: (() => void) | undefined;

  ring(): void {
    this.#rang = this.#hear === undefined;
    this.#hear?.();
  }

  /** Resolves when it rings, at once when it has rung; listens until the signal. */
  heard(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#rang) resolve();
      else this.#hear = resolve;
      this.#rang = false;
      signal.addEventListener("abort", () => {
        this.#hear = undefined;
      });
    });
  }
}

async function pause(ms: number, bell: Bell, clock: Clock, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  const letGo = abortWith(done, signal);
  const slept = clock.sleep(ms, done.signal).catch(() => {});
  await Promise.race([slept, bell.heard(done.signal)]);
  letGo();
  done.abort();
}
