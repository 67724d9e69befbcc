import type { JournalEntry } from "../journal/entry.ts";
import type { Notification } from "./driver.ts";
import { plainText } from "./rich_text.ts";
import { notificationOf, recoveryOf, type Wanted } from "./texts.ts";

/** Precedes the last failure of a row that is sent. */
export const LAST_ERROR_NOTE =
  "⚠️ No more error notifications will be sent until errors are resolved.\n\n";

const MAX_FAILURES = 3;
const DAY_MS = 24 * 60 * 60_000;
const MAX_REMEMBERED = 500;

/** Each of them is something that an operator or dewy has done, not a condition that lasts. */
const ACTS: ReadonlySet<string> = new Set([
  "started",
  "stopping",
  "ordered",
  "refused",
  "app-restart",
  "server-started",
  "deployed",
  "rollout",
]);
const CRASHES: ReadonlySet<string> = new Set(["app-exited", "replica-lost", "start-failed"]);

/**
 * Decides which entries are sent, from nothing but the entries: after a restart it continues with those of the journal.
 * A condition that lasts is sent once a day. At most three consecutive failures are sent, the third with a note; then none
 * until a success, whose notification says how long it took.
 */
export class Limiter {
  readonly #wanted: Wanted;
  /** When each condition was sent, in milliseconds since the epoch. */
  readonly #sent = new Map<string, number>();
  /** How many failures were sent since the last success. */
  #failures = 0;
  #lastFailureAt = Number.NEGATIVE_INFINITY;
  /** The consecutive failures of polls. */
  #row: { startedAt: number; isSent: boolean } | undefined;
  #firstPauseMs = Number.POSITIVE_INFINITY;
  #lastCrashAt = Number.NEGATIVE_INFINITY;

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  /** Returns the notification to send; `undefined` if there is none, or if it is held back. */
  admit(entry: JournalEntry): Notification | undefined {
    const at = Date.parse(entry.at);
    // As in the journal, conditions are news again after a command.
    if (entry.event === "ordered" && entry.command !== "poll") this.#sent.clear();
    if (isSuccess(entry)) return this.#succeed(entry, at);
    const notification = notificationOf(entry, this.#wanted);
    if (entry.event === "failed") return this.#fail(notification, at);
    if (notification === undefined || ACTS.has(entry.event)) return notification;
    if (CRASHES.has(entry.event)) {
      return this.#isNewCrash(entry.retryInMs, at) ? notification : undefined;
    }
    return this.#isNews(identityOf(notification), at) ? notification : undefined;
  }

  #succeed(entry: JournalEntry, at: number): Notification | undefined {
    this.#sent.clear();
    this.#failures = 0;
    if (entry.event === "deployed") return notificationOf(entry, this.#wanted);
    const row = this.#row;
    this.#row = undefined;
    const { after } = entry;
    const isWorthIt = row?.isSent && typeof after === "number" && after >= MAX_FAILURES;
    return isWorthIt ? recoveryOf(entry, Math.max(0, at - row.startedAt), after) : undefined;
  }

  #fail(notification: Notification | undefined, at: number): Notification | undefined {
    this.#row ??= { startedAt: at, isSent: false };
    if (notification === undefined) return undefined;
    const key = identityOf(notification);
    const isRepeated = this.#sent.has(key);
    const isSilent = this.#failures >= MAX_FAILURES && isSameDay(this.#lastFailureAt, at);
    if (isSilent || !this.#isNews(key, at)) return undefined;
    this.#row.isSent = true;
    this.#lastFailureAt = at;
    if (!isRepeated) this.#failures += 1;
    if (this.#failures < MAX_FAILURES) return notification;
    return { ...notification, text: [LAST_ERROR_NOTE, ...notification.text] };
  }

  #isNews(key: string, at: number): boolean {
    const sentAt = this.#sent.get(key);
    if (sentAt !== undefined && isSameDay(sentAt, at)) return false;
    if (this.#sent.size >= MAX_REMEMBERED) this.#sent.clear();
    this.#sent.set(key, at);
    return true;
  }

  /** The pause before a restart grows while an app keeps crashing: only the first crash of a row is sent. */
  #isNewCrash(pauseMs = 0, at: number): boolean {
    this.#firstPauseMs = Math.min(this.#firstPauseMs, pauseMs || this.#firstPauseMs);
    const isNew = pauseMs <= this.#firstPauseMs || !isSameDay(this.#lastCrashAt, at);
    if (isNew) this.#lastCrashAt = at;
    return isNew;
  }
}

/** Also if the system time was set back, which must not silence a condition for years. */
function isSameDay(one: number, other: number): boolean {
  return Math.abs(other - one) < DAY_MS;
}

function isSuccess({ event, outcome, isOpen }: JournalEntry): boolean {
  return (
    event === "deployed" ||
    event === "succeeded-again" ||
    (event === "polled" && outcome === "fine" && isOpen !== true)
  );
}

/** Two notifications with this key are the same; the count of a failure and the output of a hook do not matter. */
function identityOf({ text, entry }: Notification): string {
  const { event, phase, reason, when, tag, exitCode } = entry;
  if (event === "failed") return `failed ${phase} ${reason}`;
  if (event === "hook") return `hook ${when} ${tag} ${exitCode}`;
  return `${event} ${plainText(text)}`;
}
