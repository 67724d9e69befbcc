import type { NotifierStatus } from "../control/protocol.ts";
import type { Context } from "../core/context.ts";
import { DewyError, NotFoundError, RemoteError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import { TimeoutError, withDeadline, withTimeout } from "../core/timeout.ts";
import type { JournalEntry } from "../journal/entry.ts";
import type { Notification, Notifier } from "./driver.ts";
import { lateNotification } from "./texts.ts";

/** How many notifications may wait. */
const CAPACITY = 500;
/** How many fewer are left if more would wait: so the loss is reported once for many. */
const MARGIN = 50;
/** Of one attempt. */
const TIMEOUT_MS = 10_000;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const LATE_MS = 5 * MINUTE_MS;
/** Most services that fail are back by then. */
const SERIOUS_MS = 15 * MINUTE_MS;
/** Jitter: machines that lost the same service must not return to it together. */
const JITTER = 0.25;

/** The first pause after a failure, which doubles up to the longest one. */
const BACKOFF = {
  retry: { firstMs: 1_000, longestMs: 5 * MINUTE_MS },
  /** Only the operator can solve it. */
  operator: { firstMs: MINUTE_MS, longestMs: 60 * MINUTE_MS },
};

/** An entry of the journal, with the notification that it causes. */
export interface Letter {
  entry: JournalEntry;
  notification?: Notification | undefined;
  /** Whether it was recorded before this process began, so that only the system time tells its age. */
  isEarlier?: boolean;
  /** Whether an earlier process has settled it already: what is live is announced again. */
  isSettled?: boolean;
}

interface Waiting extends Letter {
  pushedAt: number;
  /** Whether its notification was given up. */
  isLost: boolean;
}

export interface OutboxOptions extends Pick<Context, "clock" | "emit"> {
  notifier: Notifier;
  /** The notifier's URL without secrets. */
  label: string;
  redact(text: string): string;
  /**
   * Called when an entry needs nothing more. If it is urgent, the next notification waits for the promise, so that a
   * crash repeats one notification at most.
   */
  onSettled(entry: JournalEntry, isUrgent: boolean): Promise<void>;
  random?: (() => number) | undefined;
}

interface Trouble {
  error: string;
  since: number;
  retryAt: number;
  /** Whether the log says so at its default level. */
  isReported: boolean;
}

/** Delivers notifications one at a time, in order, until each is delivered or given up. Deploys never wait for it. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #waiting: Waiting[] = [];
  /** How many of them have a notification. */
  #count = 0;
  #sending: Waiting | undefined;
  readonly #stop = new AbortController();
  /** Ends the pause before the next attempt. */
  #hurry = new AbortController();
  #isClosing = false;
  #running: Promise<void> | undefined;
  #trouble: Trouble | undefined;
  #lost = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  push(letter: Letter): void {
    const last = this.#waiting.at(-1);
    const isImplied = last !== undefined && isIdle(last) && isIdle(letter);
    // Behind a notification that waits for days, there may be many of them.
    if (isImplied && this.#waiting.length > 1) this.#waiting.pop();
    const pushedAt = this.#options.clock.monotonic();
    this.#waiting.push({ ...letter, pushedAt, isLost: false });
    if (letter.notification !== undefined) this.#count += 1;
    // Later, so that a replay is complete when the oldest are given up, and the first one is delivered.
    if (this.#count === CAPACITY + 1) queueMicrotask(() => this.#giveUpOldest());
    this.#running ??= Promise.resolve().then(() => this.#drain());
  }

  status(): NotifierStatus {
    const { error, since, retryAt } = this.#trouble ?? {};
    return {
      notifier: this.#options.label,
      state: error === undefined ? "fine" : "failing",
      error,
      since: since === undefined ? undefined : new Date(since).toISOString(),
      retryAt: retryAt === undefined ? undefined : new Date(retryAt).toISOString(),
      waiting: this.#count,
      lost: this.#lost,
    };
  }

  /** Makes a last attempt at the rest, for at most `timeoutMs`; the others wait for the next start. */
  async close(timeoutMs: number): Promise<void> {
    const { clock, notifier } = this.#options;
    this.#isClosing = true;
    this.#hurry.abort();
    const rest = this.#running ?? Promise.resolve();
    await withTimeout(rest, { clock, ms: timeoutMs, what: "end" }).catch(() => {});
    this.#stop.abort(new DOMException("dewy ends", "AbortError"));
    await notifier.close?.().catch(() => {});
    const count = this.#count;
    if (count > 0) this.#warn("Notifications wait for the next start", { count });
  }

  async #drain(): Promise<void> {
    this.#giveUpOldest();
    for (let letter = this.#waiting[0]; letter !== undefined; letter = this.#waiting[0]) {
      const wasWanted = !isIdle(letter);
      const isSettled = await this.#settle(letter);
      if (!isSettled) break;
      this.#waiting.shift();
      if (letter.notification !== undefined) this.#count -= 1;
      // Of many that were given up, the last one is enough.
      const isUrgent = wasWanted && !(letter.isLost && this.#waiting[0]?.isLost);
      if (letter.isSettled !== true) await this.#options.onSettled(letter.entry, isUrgent);
    }
    // At once, so that what is pushed from now on is not left lying.
    this.#running = undefined;
  }

  /** Returns whether nothing more is to be done; not if dewy ends first. */
  async #settle(letter: Waiting): Promise<boolean> {
    const { event, directory } = letter.entry;
    if (event === "activated" && typeof directory === "string") await this.#announce(directory);
    for (let failures = 0; letter.notification !== undefined; ) {
      if (this.#isOld(letter)) {
        this.#giveUpOld();
        return true;
      }
      try {
        await this.#attempt(letter, letter.notification);
        this.#recover();
        return true;
      } catch (error) {
        if (this.#stop.signal.aborted) return false;
        failures += 1;
        const outcome = outcomeOf(error);
        if (outcome === "refused") {
          this.#trouble = undefined;
          this.#giveUp([letter], this.#reasonOf(error));
          return true;
        }
        if (this.#isClosing || !(await this.#pause(error, outcome, failures))) return false;
      }
    }
    return true;
  }

  async #attempt(letter: Waiting, notification: Notification): Promise<void> {
    const { clock, notifier } = this.#options;
    const isLate = Math.max(this.#ageOf(letter), this.#systemAgeOf(letter)) > LATE_MS;
    const sent = isLate ? lateNotification(notification) : notification;
    this.#sending = letter;
    try {
      await withDeadline(clock, TIMEOUT_MS, this.#stop.signal, (signal) =>
        notifier.send(sent, signal),
      );
    } catch (cause) {
      if (!(cause instanceof TimeoutError)) throw cause;
      const message = `the notifier did not answer within ${TIMEOUT_MS / 1_000} s`;
      throw new RemoteError(message, { code: "timeout", cause });
    } finally {
      this.#sending = undefined;
    }
  }

  async #announce(directory: string): Promise<void> {
    const { clock, notifier } = this.#options;
    await withDeadline(clock, TIMEOUT_MS, this.#stop.signal, async () =>
      notifier.onActivated?.(directory),
    ).catch(() => {});
  }

  /** Waits for the next attempt. Returns false if dewy ends first. */
  async #pause(error: unknown, outcome: "retry" | "operator", failures: number): Promise<boolean> {
    const { clock } = this.#options;
    const pauseMs = this.#pauseAfter(error, outcome, failures);
    const now = clock.now();
    const text = this.#reasonOf(error);
    const before = this.#trouble;
    const since = before?.since ?? now;
    const isSerious = outcome === "operator" || now - since >= SERIOUS_MS;
    const isReported = isSerious || before?.isReported === true;
    this.#trouble = { error: text, since, retryAt: now + pauseMs, isReported };
    if (before === undefined || isReported !== before.isReported) {
      const fields = { error: text, retryInSeconds: Math.ceil(pauseMs / 1_000) };
      this.#warn("Notification not delivered yet", fields, isSerious);
    }
    this.#hurry = new AbortController();
    await clock.sleep(pauseMs, this.#hurry.signal).catch(() => {});
    return !this.#stop.signal.aborted;
  }

  #pauseAfter(error: unknown, outcome: "retry" | "operator", failures: number): number {
    const { random = Math.random } = this.#options;
    const { firstMs, longestMs } = BACKOFF[outcome];
    const backoffMs = Math.min(firstMs * 2 ** Math.min(failures - 1, 20), longestMs);
    const askedMs = error instanceof RemoteError ? (error.retryAfterMs ?? 0) : 0;
    const pauseMs = backoffMs * (1 - JITTER * random());
    return Math.round(Math.min(Math.max(pauseMs, askedMs), DAY_MS));
  }

  #recover(): void {
    if (this.#trouble === undefined) return;
    this.#trouble = undefined;
    this.#warn("Notifications are delivered again", {});
  }

  /** A step of the system time does not make old what has just happened. */
  #ageOf(letter: Waiting): number {
    if (letter.isEarlier === true) return this.#systemAgeOf(letter);
    return this.#options.clock.monotonic() - letter.pushedAt;
  }

  #systemAgeOf({ entry }: Waiting): number {
    return this.#options.clock.now() - Date.parse(entry.at);
  }

  #isOld(letter: Waiting): boolean {
    return this.#ageOf(letter) > DAY_MS;
  }

  /** All at once, so that they are reported once. */
  #giveUpOld(): void {
    const old = this.#waiting.filter((letter) => hasNotification(letter) && this.#isOld(letter));
    this.#giveUp(old, this.#trouble?.error ?? "dewy did not run");
  }

  #giveUpOldest(): void {
    if (this.#count <= CAPACITY) return;
    const surplus = this.#count - CAPACITY + MARGIN;
    // It may be arriving.
    const others = this.#waiting.filter((one) => hasNotification(one) && one !== this.#sending);
    this.#giveUp(others.slice(0, surplus), this.#trouble?.error ?? "too many notifications waited");
    // The first one may be among them.
    this.#hurry.abort();
  }

  /** They stay in the queue, so that the cursor passes them in their order. */
  #giveUp(letters: readonly Waiting[], reason: string): void {
    const { label: notifier, emit } = this.#options;
    const count = letters.length;
    for (const letter of letters) Object.assign(letter, { notification: undefined, isLost: true });
    this.#count -= count;
    this.#lost += count;
    // The loss of a notification about a loss must not cause another one.
    if (letters.some(({ entry }) => entry.event !== "notifications-lost")) {
      emit({ type: "notifications-lost", notifier, count, reason });
    } else this.#warn("Notification lost", { count, reason });
  }

  /** Errors name the URL of the request. */
  #reasonOf(error: unknown): string {
    return this.#options.redact(messageOf(error));
  }

  #warn(message: string, fields: Record<string, string | number>, important = false): void {
    const { label: notifier, emit } = this.#options;
    emit({ type: "warning", message, fields: { notifier, ...fields }, important });
  }
}

function hasNotification({ notification }: Letter): boolean {
  return notification !== undefined;
}

/** Whether nothing is to be done but to move the cursor, which the next one does as well. */
function isIdle({ entry, notification, isLost }: Letter & { isLost?: boolean }): boolean {
  return notification === undefined && isLost !== true && entry.event !== "activated";
}

/** How the outbox reacts to a failure. */
function outcomeOf(error: unknown): "retry" | "operator" | "refused" {
  if (!(error instanceof DewyError)) return "refused";
  if (error.fault === "operator" || error instanceof NotFoundError) return "operator";
  return error.retryable ? "retry" : "refused";
}
