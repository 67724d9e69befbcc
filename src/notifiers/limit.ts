import type { DewyEvent } from "../core/event.ts";
import type { Notification } from "./driver.ts";

/** Put before the last error that is told. */
export const LAST_ERROR_NOTE =
  "⚠️ No more error notifications will be sent until errors are resolved.\n\n";

const MAX_ERRORS = 3;

/** Decides which notifications leave. */
export interface Limiter {
  /**
   * Decides about one notification.
   *
   * @param event what happened.
   * @param notification what would be told.
   * @returns what is told; `undefined` when it is held back.
   */
  admit(event: DewyEvent, notification: Notification): Notification | undefined;
  /** Forgets the errors: a round has succeeded. */
  reset(): void;
}

/**
 * Keeps notifications from becoming noise: of a failure that repeats only the first one is told, of
 * different failures in a row three, the third with a note; then none until a success.
 *
 * @param quiet whether only successes, errors and failed hooks are told.
 * @returns the limiter.
 */
export function createLimiter(quiet: boolean): Limiter {
  const told = new Set<string>();
  let errors = 0;
  let firstPauseMs = Number.POSITIVE_INFINITY;
  /** The pause before a restart grows while an app crashes again and again: only the first of a row is told. */
  const isNewCrash = (pauseMs = 0): boolean => {
    firstPauseMs = Math.min(firstPauseMs, pauseMs || firstPauseMs);
    return pauseMs <= firstPauseMs;
  };
  return {
    reset: () => {
      told.clear();
      errors = 0;
    },
    admit: (event, notification) => {
      const { kind } = notification;
      if (quiet && (kind === "message" || kind === "hook-passed")) return undefined;
      if (event.type === "app-exited") {
        return isNewCrash(event.restartInMs) ? notification : undefined;
      }
      if (event.type === "replica-lost") {
        return isNewCrash(event.replaceInMs) ? notification : undefined;
      }
      if (event.type === "start-failed") {
        return isNewCrash(event.retryInMs) ? notification : undefined;
      }
      const key = identityOf(event, notification);
      if (told.has(key)) return undefined;
      if (event.type !== "failed") {
        told.add(key);
        return notification;
      }
      if (errors >= MAX_ERRORS) return undefined;
      told.add(key);
      errors += 1;
      const isLast = errors === MAX_ERRORS;
      return isLast ? { ...notification, text: LAST_ERROR_NOTE + notification.text } : notification;
    },
  };
}

/** What makes two notifications the same one: not the count of an error, not the output of a hook. */
function identityOf(event: DewyEvent, { text }: Notification): string {
  switch (event.type) {
    case "failed":
      return `failed ${event.phase} ${event.error.message}`;
    case "hook":
      return `hook ${event.result.when} ${event.tag} ${event.result.exitCode}`;
    default:
      return `${event.type} ${text}`;
  }
}
