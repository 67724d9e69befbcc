import type { Clock } from "../core/clock.ts";
import { ConfigError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { redactSecrets } from "../core/secret.ts";
import { readQuery, redactUrl, splitUrl } from "../core/url.ts";
import type { Notification, NotifierDriver, NotifierIo } from "./driver.ts";
import { createLimiter } from "./limit.ts";
import { createQueue } from "./queue.ts";
import { notificationOf } from "./texts.ts";

const DAY_MS = 24 * 60 * 60_000;

/** Notifications as a subscriber of events. */
export interface NotificationSink {
  /** Tells people of an event; returns at once. */
  sink: EventSink;
  /**
   * Waits until the last notifications have left, but not longer than this.
   *
   * @param timeoutMs milliseconds.
   */
  close(timeoutMs: number): Promise<void>;
}

/**
 * Opens a notifier. When its credentials are missing, it sends nothing, and warns of that now and then once a day.
 *
 * @param text its URL.
 * @param table the drivers.
 * @param io the environment, the network, the clock and where warnings go.
 * @returns the subscriber.
 * @throws ConfigError for a URL or option that cannot be used.
 */
export function openNotifier(
  text: string,
  table: Readonly<Record<string, NotifierDriver>>,
  io: NotifierIo,
): NotificationSink {
  // People write a channel as they see it, `slack://#deploy`; elsewhere in a URL a "#" has no meaning.
  const url = splitUrl(text.replace(/^([a-z]+:\/\/)#/, "$1%23"), "--notifier");
  const driver = Object.hasOwn(table, url.scheme) ? table[url.scheme] : undefined;
  if (driver === undefined) {
    throw new ConfigError(
      `unsupported notifier: "${redactUrl(text)}"; supported: ${Object.keys(table).join(", ")}`,
    );
  }
  const quiet = readQuery(url, driver.options, "--notifier").flag("quiet");
  const notifier = driver.open(url, io);
  if (notifier === undefined) return dailyReminder(() => driver.open(url, io), io.clock);
  const queue = createQueue(notifier, io);
  const limiter = createLimiter(quiet);
  return {
    close: (timeoutMs) => queue.close(timeoutMs),
    sink: (event) => {
      if (event.type === "activated") {
        queue.run(async () => notifier.onActivated?.(event.directory));
      }
      const notification = notificationOf(event, quiet);
      const admitted = notification && limiter.admit(event, notification);
      if (admitted !== undefined) queue.push(withoutSecrets(admitted, io.env));
      if (isSuccess(event.type)) limiter.reset();
    },
  };
}

/** Events come with every poll, so that no timer is needed. */
function dailyReminder(remind: () => void, clock: Clock): NotificationSink {
  let remindedAt = clock.now();
  return {
    close: async () => {},
    sink: () => {
      if (clock.now() - remindedAt < DAY_MS) return;
      remindedAt = clock.now();
      remind();
    },
  };
}

/** What hooks print is not ours, and may show the environment they got. */
function withoutSecrets(notification: Notification, env: NotifierIo["env"]): Notification {
  const { hook } = notification;
  const redact = (text: string): string => redactSecrets(text, env);
  return {
    ...notification,
    text: redact(notification.text),
    ...(hook === undefined
      ? {}
      : {
          hook: {
            ...hook,
            command: redact(hook.command),
            stdout: redact(hook.stdout),
            stderr: redact(hook.stderr),
          },
        }),
  };
}

function isSuccess(type: string): boolean {
  return type === "deployed" || type === "unchanged" || type === "succeeded-again";
}
