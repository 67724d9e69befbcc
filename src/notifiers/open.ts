import type { Clock } from "../core/clock.ts";
import { driverEnvironment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { nearest } from "../core/nearest.ts";
import type { Redact } from "../core/secret.ts";
import { declarePrintable, readQuery, redactUrl, splitUrl } from "../core/url.ts";
import type { Notification, NotifierContext, NotifierDriver } from "./driver.ts";
import { createLimiter } from "./limit.ts";
import { createQueue } from "./queue.ts";
import { mapText } from "./rich_text.ts";
import { notificationOf } from "./texts.ts";

const DAY_MS = 24 * 60 * 60_000;
const SUCCESSES: ReadonlySet<string> = new Set(["deployed", "unchanged", "succeeded-again"]);

export interface NotificationSink {
  sink: EventSink;
  /** Sends the last notifications, for at most `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}

/** Opens a notifier. If its credentials are missing, it sends nothing and warns now and then once a day. */
export function openNotifier(
  text: string,
  table: Readonly<Record<string, NotifierDriver>>,
  context: NotifierContext,
  redact: Redact,
): NotificationSink {
  declarePrintable(table);
  const [scheme] = /^[a-z]+(?=:\/\/)/.exec(text) ?? [""];
  const driver = Object.hasOwn(table, scheme) ? table[scheme] : undefined;
  if (driver === undefined) throw unsupported(text, table);
  // Operators write a channel as Slack shows it, `slack://#deploy`; no notifier URL has a fragment.
  const url = splitUrl(text.replace(/^([a-z]+:\/\/)#/, "$1%23"), "--notifier");
  const quiet = readQuery(url, driver.options, "--notifier").flag("quiet");
  const own = { ...context, env: driverEnvironment(context.env, driver.environment) };
  const notifier = driver.open(url, own);
  if (notifier === undefined) return dailyReminder(() => driver.open(url, own), context.clock);
  const queue = createQueue(notifier, context);
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
      if (SUCCESSES.has(event.type)) limiter.reset();
    },
  };
}

/** Every poll emits events, so a timer is not needed. */
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

/** Everything after the host of a webhook URL is a secret. */
function unsupported(text: string, table: Readonly<Record<string, NotifierDriver>>): ConfigError {
  const [, start = "", host = ""] = /^([a-z][a-z0-9+.-]*:\/\/)?([^/?#\s]*)/i.exec(text) ?? [];
  const rest = text.length > start.length + host.length ? "/…" : "";
  const shown = `"${redactUrl(start + host)}${rest}"`;
  const drivers = Object.values(table);
  const meant = drivers.find(({ sites = [] }) => sites.some((site) => isBelow(host, site)));
  const near = nearest(start.replace("://", ""), Object.keys(table));
  const advised = meant === undefined ? "" : `; for ${meant.name} ${advice(meant)}`;
  const hint = near === undefined ? advised : `; did you mean ${near}://?`;
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

/** Hooks and apps may print their environment. */
function withoutSecrets(notification: Notification, redact: Redact): Notification {
  const { hook } = notification;
  return {
    ...notification,
    text: mapText(notification.text, redact),
    hook: hook && {
      ...hook,
      command: redact(hook.command),
      stdout: redact(hook.stdout),
      stderr: redact(hook.stderr),
    },
  };
}
