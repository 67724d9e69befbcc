import type { Clock } from "../core/clock.ts";
import type { Context } from "../core/context.ts";
import { DeployError, DewyError, HostError } from "../core/error.ts";
import type { DewyEvent } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { abortWith } from "../core/timeout.ts";
import { backoffMs, requestedPauseMs } from "./backoff.ts";

/** How a poll ended that the registry answered. Times are in milliseconds since the epoch. */
export type PollOutcome =
  /** A version that is held back may come at `retryAt`. */
  | { kind: "fine"; retryAt?: number; isHolding?: true }
  /** A version is baking, or waits for its retry after a failure: neither a success nor another failure. */
  | { kind: "waiting"; retryAt?: number; isHolding?: true; failedWith?: string | undefined }
  /** There is nothing to deploy although there should be. */
  | { kind: "problem"; error: DewyError }
  /** A version was not deployed; without `retryAt` it is not retried. */
  | { kind: "failed"; tag: string; error: DewyError; retryAt: number | undefined };

export interface LoopOptions extends Pick<Context, "clock" | "emit"> {
  /** Rejects if the registry cannot be reached. `report` takes an outcome that comes after the poll. */
  poll(signal: AbortSignal, report: (outcome: PollOutcome) => void): Promise<PollOutcome>;
  intervalMs: number;
  /** Registers a listener that triggers a poll, and returns the function that unsubscribes it. */
  onWake(listener: WakeListener): () => void;
  signal: AbortSignal;
  random?: () => number;
}

/** A patient wake waits for the end of a pause that the registry has asked for; others end any pause. */
export type WakeListener = (wake?: { isPatient: boolean }) => void;

type PollEnd = Extract<DewyEvent, { type: "polled" }>["outcome"];
type LoopOutcome = PollOutcome | { kind: "unreachable"; error: DewyError };

/**
 * Polls until the signal is aborted: with backoff while the registry fails, and never faster than it
 * allows. A version that fails does not slow polling down, so that a fixed version is noticed at the
 * next poll.
 */
export async function pollLoop(options: LoopOptions): Promise<void> {
  const { clock, signal } = options;
  const wakes: Wakes = { impatient: new WakeSignal(), patient: new WakeSignal() };
  const unsubscribe = options.onWake((wake) =>
    wakes[wake?.isPatient ? "patient" : "impatient"].trigger(),
  );
  const report = reporter(options);
  let unreachable = 0;
  try {
    while (!signal.aborted) {
      wakes.patient.clear();
      const outcome = await attempt(options, report);
      if (signal.aborted) return;
      unreachable = outcome.kind === "unreachable" ? unreachable + 1 : 0;
      const pause = pauseAfter(outcome, unreachable, options);
      report(outcome, pause.ms);
      options.emit(polledEvent(outcome, clock.now() + pause.ms));
      await sleep(pause, wakes, clock, signal);
    }
  } finally {
    unsubscribe();
  }
}

/** @param count the number of consecutive failures. */
export function failedEvent(
  error: DewyError,
  count: number,
  { tag, retryInMs, isRepeated }: { tag?: string; retryInMs?: number; isRepeated?: boolean } = {},
): Extract<DewyEvent, { type: "failed" }> {
  const phase = error instanceof DeployError ? error.phase : "resolve";
  return {
    type: "failed",
    phase,
    tag,
    error,
    count,
    retryInMs,
    isRepeated: isRepeated || undefined,
  };
}

/** @param nextAt When the next poll begins; absent if there is none. */
export function polledEvent(outcome: LoopOutcome, nextAt?: number): DewyEvent {
  const error = "error" in outcome ? outcome.error.message : failedWithOf(outcome);
  const next = nextAt === undefined ? {} : { nextAt: new Date(nextAt) };
  const open = outcome.kind === "waiting" && error === undefined ? { isOpen: true as const } : {};
  return { type: "polled", outcome: outcomeName(outcome), error, ...open, ...next };
}

/** For people, a version waits if a decision or a policy holds it back, and has failed until its retry. */
function outcomeName(outcome: LoopOutcome): PollEnd {
  if (failedWithOf(outcome) !== undefined) return "failed";
  if (outcome.kind !== "fine" && outcome.kind !== "waiting") return outcome.kind;
  return outcome.isHolding ? "waiting" : "fine";
}

function failedWithOf(outcome: LoopOutcome): string | undefined {
  return outcome.kind === "waiting" ? outcome.failedWith : undefined;
}

export function asDewyError(error: unknown): DewyError {
  if (error instanceof DewyError) return error;
  return new HostError(`Unexpected failure: ${messageOf(error)}`, { cause: error });
}

async function attempt(options: LoopOptions, report: Report): Promise<LoopOutcome> {
  const { poll, signal } = options;
  try {
    return await poll(signal, (outcome) => report(outcome, 0));
  } catch (error) {
    return { kind: "unreachable", error: asDewyError(error) };
  }
}

type Report = (outcome: LoopOutcome, pauseMs: number) => void;

const REPEATED_MS = 3_600_000;

/** Reports each failure with its number in a row, and the success that ends the row. */
function reporter({ emit, clock }: LoopOptions): Report {
  let failures = 0;
  let lastMessage = "";
  let firstReportedAt = 0;
  return (outcome, pauseMs) => {
    if (outcome.kind === "waiting") return;
    if (outcome.kind === "fine") {
      if (failures > 0) emit({ type: "succeeded-again", after: failures });
      failures = 0;
      lastMessage = "";
      return;
    }
    failures += 1;
    const { error } = outcome;
    const now = clock.monotonic();
    const isRepeated = lastMessage === error.message && now - firstReportedAt < REPEATED_MS;
    if (!isRepeated) firstReportedAt = now;
    lastMessage = error.message;
    const retry =
      outcome.kind === "failed"
        ? { tag: outcome.tag, retryInMs: msUntilRetry(outcome, clock) }
        : { retryInMs: pauseMs };
    emit(failedEvent(error, failures, { ...retry, isRepeated }));
  };
}

function msUntilRetry(outcome: LoopOutcome, clock: Clock): number | undefined {
  const retryAt = "retryAt" in outcome ? outcome.retryAt : undefined;
  return retryAt === undefined ? undefined : Math.max(0, retryAt - clock.now());
}

interface Pause {
  ms: number;
  /** The part of it, from its start, that the registry has asked for. */
  requestedMs: number;
}

function pauseAfter(outcome: LoopOutcome, unreachable: number, options: LoopOptions): Pause {
  const { intervalMs, clock, random = Math.random } = options;
  const pollMs = backoffMs(intervalMs, unreachable, random);
  const retryInMs = msUntilRetry(outcome, clock);
  const requestedMs = "error" in outcome ? requestedPauseMs(outcome.error, random) : 0;
  if (requestedMs > 0) {
    // The retry of a failed version already respects the requested pause.
    const ms = retryInMs ?? Math.max(requestedMs, pollMs);
    return { ms, requestedMs: Math.min(requestedMs, ms) };
  }
  // A poll that is a bit early or late also serves as the retry.
  const isDue = retryInMs !== undefined && retryInMs < 1.5 * intervalMs;
  return { ms: isDue ? retryInMs : pollMs, requestedMs: 0 };
}

/** Wakes one waiter at a time. A trigger without a waiter wakes the next one. */
class WakeSignal {
  #isTriggered = false;
  #wake: (() => void) | undefined;

  trigger(): void {
    this.#isTriggered = this.#wake === undefined;
    this.#wake?.();
  }

  clear(): void {
    this.#isTriggered = false;
  }

  /** Resolves at the next trigger, or never if the signal is aborted first. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isTriggered) resolve();
      else this.#wake = resolve;
      this.#isTriggered = false;
      signal.addEventListener("abort", () => {
        this.#wake = undefined;
      });
    });
  }
}

type Wakes = Record<"impatient" | "patient", WakeSignal>;

async function sleep(
  { ms, requestedMs }: Pause,
  { impatient, patient }: Wakes,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const done = new AbortController();
  const unlink = abortWith(done, signal);
  const requestedUntil = clock.monotonic() + requestedMs;
  const wokenPatiently = async (): Promise<void> => {
    await patient.wait(done.signal);
    const leftMs = requestedUntil - clock.monotonic();
    if (leftMs > 0) await clock.sleep(leftMs, done.signal).catch(() => {});
  };
  const slept = clock.sleep(ms, done.signal).catch(() => {});
  await Promise.race([slept, impatient.wait(done.signal), wokenPatiently()]);
  unlink();
  done.abort();
}
