import type { Clock } from "../core/clock.ts";
import type { Context } from "../core/context.ts";
import { DewyError, RemoteError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { TimeoutError, withDeadline } from "../core/timeout.ts";
import type { Notification, Notifier } from "./driver.ts";

/** How many notifications may wait; the oldest are dropped. */
const CAPACITY = 100;
/** Of one attempt. */
const TIMEOUT_MS = 10_000;
const ATTEMPTS = 3;
const MAX_PAUSE_MS = 60_000;

/** Sends one notification at a time, in order, each with a few attempts. Deploys never wait for it. */
export function createQueue(notifier: Notifier, { clock, emit }: Pick<Context, "clock" | "emit">) {
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
    if (waiting.length >= CAPACITY) {
      waiting.shift();
      dropped += 1;
      if (dropped === 1) {
        emit({ type: "warning", message: "Notifications dropped, the notifier is too slow" });
      }
    }
    waiting.push(work);
    running ??= drain().finally(() => {
      running = undefined;
    });
  };
  const attempt = async (notification: Notification): Promise<void> => {
    try {
      await withDeadline(clock, TIMEOUT_MS, stop.signal, (signal) =>
        notifier.send(notification, signal),
      );
    } catch (cause) {
      if (!(cause instanceof TimeoutError)) throw cause;
      const message = `the notifier did not answer within ${TIMEOUT_MS / 1_000} s`;
      throw new RemoteError(message, { code: "timeout", cause });
    }
  };
  return {
    /** Runs other work in turn, such as reading what the next notifications need. */
    run: add,
    push: (notification: Notification): void =>
      add(() => deliver(() => attempt(notification), clock, stop.signal)),
    /** Delivers the rest, for at most `timeoutMs`. */
    close: async (timeoutMs: number): Promise<void> => {
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
        message: "Notifications lost, the notifier did not answer before dewy exited",
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

function undelivered(error: unknown): Parameters<EventSink>[0] {
  return {
    type: "warning",
    message: "Notification not delivered",
    fields: { error: messageOf(error) },
  };
}
