import type { DewyEvent } from "../core/event.ts";
import type { Notification } from "./driver.ts";
import { plainText } from "./rich_text.ts";

/** Precedes the last error of a row that is sent. */
export const LAST_ERROR_NOTE =
  "⚠️ No more error notifications will be sent until errors are resolved.\n\n";

const MAX_ERRORS = 3;

export interface Limiter {
  /** Returns the notification to send; `undefined` if it is held back. */
  admit(event: DewyEvent, notification: Notification): Notification | undefined;
  reset(): void;
}

/**
 * Limits notifications: a repeated failure is sent once, and at most three consecutive failures are sent (the third says
 * so); then none until a success.
 */
export function createLimiter(quiet: boolean): Limiter {
  const sent = new Set<string>();
  let errors = 0;
  let firstPauseMs = Number.POSITIVE_INFINITY;
  /** The pause before a restart grows while an app keeps crashing: only the first crash of a row is sent. */
  const isNewCrash = (pauseMs = 0): boolean => {
    firstPauseMs = Math.min(firstPauseMs, pauseMs || firstPauseMs);
    return pauseMs <= firstPauseMs;
  };
  return {
    reset: () => {
      sent.clear();
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
      if (sent.has(key)) return undefined;
      if (event.type !== "failed") {
        sent.add(key);
        return notification;
      }
      if (errors >= MAX_ERRORS) return undefined;
      sent.add(key);
      errors += 1;
      const isLast = errors === MAX_ERRORS;
      return isLast
        ? { ...notification, text: [LAST_ERROR_NOTE, ...notification.text] }
        : notification;
    },
  };
}

/** Two notifications with this key are the same; the count of an error and the output of a hook do not matter. */
function identityOf(event: DewyEvent, { text }: Notification): string {
  switch (event.type) {
    case "failed":
      return `failed ${event.phase} ${event.error.message}`;
    case "hook":
      return `hook ${event.result.when} ${event.tag} ${event.result.exitCode}`;
    default:
      return `${event.type} ${plainText(text)}`;
  }
}
