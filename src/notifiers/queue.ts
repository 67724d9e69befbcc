import type { Clock } from "../core/clock.ts";
import { DewyError, RemoteError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import type { Notification, Notifier } from "./driver.ts";

/** What a queue needs. */
export interface QueueOptions {
  /** Time. */
  clock: Clock;
  /** Hears of what could not be delivered. */
  emit: EventSink;
  /** The most notifications that wait; older ones are dropped. The default is 100. */
  capacity?: number;
  /** The longest one attempt may take, in milliseconds. The default is 10,000. */
  timeoutMs?: number;
}

/** Notifications on their way; the deploy never waits for them. */
export interface NotificationQueue {
  /** Adds one and returns at once. */
  push(notification: Notification): void;
  /** Does something in turn, such as reading what the next notifications need. */
  run(work: () => Promise<void>): void;
  /**
   * Waits until everything has left, but not longer than this.
   *
   * @param timeoutMs milliseconds.
   */
  close(timeoutMs: number): Promise<void>;
}

const CAPACITY = 100;
const TIMEOUT_MS = 10_000;
const ATTEMPTS = 3;
const MAX_PAUSE_MS = 60_000;

/**
 * Makes the queue of a notifier. One notification leaves at a time, in order; each attempt ends after a
 * while, and a few are made.
 *
 * @param notifier where to.
 * @param options time and limits.
 * @returns the queue.
 */
export function createQueue(notifier: Notifier, options: QueueOptions): NotificationQueue {
  const { clock, emit } = options;
  const capacity = options.capacity ?? CAPACITY;
  const waiting: (() => Promise<void>)[] = [];
  const stop = new AbortController();
  let running: Promise<void> | undefined;
  let dropped = 0;

  const drain = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (stop.signal.aborted) return;
      await next().catch((error: unknown) => {
        if (!stop.signal.aborted) emit(undelivered(error));
      });
    }
  };
  const add = (work: () => Promise<void>): void => {
    if (waiting.length >= capacity) {
      waiting.shift();
      dropped += 1;
      if (dropped === 1) {
        emit({ type: "warning", message: "Notifications are dropped: the notifier is too slow" });
      }
    }
    waiting.push(work);
    running ??= drain().finally(() => {
      running = undefined;
    });
  };
  const attempt = (notification: Notification): Promise<void> =>
    withDeadline(clock, options.timeoutMs ?? TIMEOUT_MS, stop.signal, (signal) =>
      notifier.send(notification, signal),
    );
  return {
    run: add,
    push: (notification) => add(() => deliver(() => attempt(notification), clock, stop.signal)),
    close: async (timeoutMs) => {
      if (running === undefined) return;
      const done = new AbortController();
      const late = clock.sleep(timeoutMs, done.signal).catch(() => {});
      await Promise.race([running, late]);
      done.abort();
      const left = waiting.length;
      stop.abort(new DOMException("dewy ends", "AbortError"));
      if (running === undefined) return;
      emit({
        type: "warning",
        message: "Notifications are lost: the notifier did not answer before the end",
        fields: { count: left + 1 },
      });
    },
  };
}

async function deliver(
  attempt: () => Promise<void>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  for (let count = 1; ; count += 1) {
    try {
      return await attempt();
    } catch (error) {
      const isWorthIt = error instanceof DewyError && error.retryable && count < ATTEMPTS;
      if (!isWorthIt || signal.aborted) throw error;
      const asked = error instanceof RemoteError ? error.retryAfterMs : undefined;
      const pause = asked ?? 1000 * 2 ** (count - 1) * (0.5 + Math.random());
      await clock.sleep(Math.min(pause, MAX_PAUSE_MS), signal);
    }
  }
}

/** Ends the work by its signal, and the wait for it even when the work does not listen. */
async function withDeadline(
  clock: Clock,
  ms: number,
  outer: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const inner = new AbortController();
  const signal = AbortSignal.any([outer, inner.signal]);
  const done = new AbortController();
  const late = clock.sleep(ms, AbortSignal.any([outer, done.signal])).then(() => {
    const error = new RemoteError(`the notifier did not answer within ${ms / 1000} s`, {
      code: "timeout",
    });
    inner.abort(error);
    throw error;
  });
  const worked = work(signal);
  worked.catch(() => {});
  late.catch(() => {});
  try {
    await Promise.race([worked, late]);
  } finally {
    done.abort();
  }
}

function undelivered(error: unknown): Parameters<EventSink>[0] {
  return {
    type: "warning",
    message: "Cannot deliver a notification",
    fields: { error: messageOf(error) },
  };
}
