import type { Clock } from "../core/clock.ts";
import { driverEnvironment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import type { Redact } from "../core/secret.ts";
import { declarePrintable, readQuery, redactUrl, splitUrl } from "../core/url.ts";
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
 * @param redact masks secrets in what is sent.
 * @returns the subscriber.
 * @throws ConfigError for a URL, option or variable that cannot be used.
 */
export function openNotifier(
  text: string,
  table: Readonly<Record<string, NotifierDriver>>,
  io: NotifierIo,
  redact: Redact,
): NotificationSink {
  declarePrintable(table);
  const [scheme] = /^[a-z]+(?=:\/\/)/.exec(text) ?? [""];
  const driver = Object.hasOwn(table, scheme) ? table[scheme] : undefined;
  if (driver === undefined) throw unsupported(text, table);
  // People write a channel as they see it, `slack://#deploy`; elsewhere in a URL a "#" has no meaning.
  const url = splitUrl(text.replace(/^([a-z]+:\/\/)#/, "$1%23"), "--notifier");
  const quiet = readQuery(url, driver.options, "--notifier").flag("quiet");
  const own = { ...io, env: driverEnvironment(io.env, driver.environment) };
  const notifier = driver.open(url, own);
  if (notifier === undefined) return dailyReminder(() => driver.open(url, own), io.clock);
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
      if (admitted !== undefined) queue.push(withoutSecrets(admitted, redact));
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

/** Of the address of a webhook everything behind the host is a secret. */
function unsupported(text: string, table: Readonly<Record<string, NotifierDriver>>): ConfigError {
  const [, start = "", host = ""] = /^([a-z][a-z0-9+.-]*:\/\/)?([^/?#\s]*)/i.exec(text) ?? [];
  const rest = text.length > start.length + host.length ? "/…" : "";
  const shown = `"${redactUrl(start + host)}${rest}"`;
  const drivers = Object.values(table);
  const meant = drivers.find(({ site }) => site !== undefined && isBelow(host, site));
  const hint = meant === undefined ? "" : `; for ${meant.name} ${advice(meant)}`;
  return new ConfigError(
    start === ""
      ? `Cannot read --notifier ${shown}: expected ${drivers.map(({ syntax }) => syntax).join(", ")}${hint}`
      : `unsupported notifier: ${shown}; supported: ${Object.keys(table).join(", ")}${hint}`,
  );
}

function isBelow(host: string, domain: string): boolean {
  return `.${host.replace(/^.*@|:\d+$/g, "").toLowerCase()}`.endsWith(`.${domain}`);
}

function advice({ syntax, environment }: NotifierDriver): string {
  const secrets = environment.filter(({ secret }) => secret !== false).map(({ name }) => name);
  return `use ${syntax}${secrets.length === 0 ? "" : `, and set ${secrets.join(" and ")}`}`;
}

/** Hooks and apps may print the environment that they got. */
function withoutSecrets(notification: Notification, redact: Redact): Notification {
  const { hook } = notification;
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
