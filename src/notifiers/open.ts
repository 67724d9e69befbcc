import { createHash } from "node:crypto";
import type { NotifierStatus } from "../control/protocol.ts";
import { driverEnvironment } from "../core/environment.ts";
import { ConfigError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { messageOf } from "../core/message_of.ts";
import { withTimeout } from "../core/timeout.ts";
import { readQuery, type SplitUrl } from "../core/url.ts";
import type { JournalEntry } from "../journal/entry.ts";
import { readJournal } from "../journal/read.ts";
import { type Cursor, Cursors } from "./cursors.ts";
import { type NotifierContext, type NotifierDriver, QUIET } from "./driver.ts";
import { Limiter } from "./limit.ts";
import { Outbox } from "./outbox.ts";
import { labelsOf, type NotifierTable, type NotifierUrl, readNotifierUrl } from "./urls.ts";

const DAY_MS = 24 * 60 * 60_000;
/** How long a delivery waits for the previous one to be recorded. */
const SAVE_MS = 3_000;

/** The open notifiers of an agent. */
export interface Notifications {
  /**
   * Names the instance, and continues where an earlier process has stopped, as the journal and the cursors in its directory
   * say.
   */
  start(instance: { name: string; directory: string }): void;
  /** Takes the next entry of the journal. It never blocks. */
  push(entry: JournalEntry): void;
  status(): NotifierStatus[];
  /** Delivers the rest, for at most `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}

/**
 * Opens notifiers. One whose credentials are missing sends nothing and warns, now and then once a day.
 *
 * @param texts the URLs. The same URL twice counts once.
 * @param origins where they stand, if not in a flag, for errors.
 */
export function openNotifiers(
  texts: readonly string[],
  table: NotifierTable,
  context: NotifierContext,
  origins: ReadonlyMap<string, string> = new Map(),
): Notifications {
  const urls = [...new Set(texts)].map((text) =>
    namingOrigin(origins.get(text), () => readNotifierUrl(text, table)),
  );
  return new OpenNotifications(urls, context, origins);
}

function namingOrigin<T>(origin: string | undefined, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (origin === undefined || !(error instanceof ConfigError)) throw error;
    throw new ConfigError(`${error.message} (${origin})`, { cause: error });
  }
}

interface Channel {
  /** Of its cursor. */
  key: string;
  label: string;
  limiter: Limiter;
  /** Absent if its credentials are missing. */
  outbox: Outbox | undefined;
}

/** The driver checks the other options: it knows which keys of the query are those of its service. */
function isQuiet(url: SplitUrl, label: string, { options }: NotifierDriver): boolean {
  if (!options.includes(QUIET)) return false;
  const query = new Map([...url.query].filter(([key]) => key === QUIET.name));
  return readQuery({ ...url, text: label, query }, [QUIET], "--notifier").flag(QUIET.name);
}

class OpenNotifications implements Notifications {
  readonly #channels: readonly Channel[];
  readonly #context: NotifierContext;
  readonly #end = new AbortController();
  /** The entries until the journal was read. */
  #early: JournalEntry[] | undefined = [];
  #starting: Promise<void> | undefined;
  #cursors: Cursors | undefined;
  #saveFails = false;

  constructor(
    urls: readonly NotifierUrl[],
    context: NotifierContext,
    origins: ReadonlyMap<string, string>,
  ) {
    const instance = { ...context.instance };
    this.#context = { ...context, instance, emit: withoutSecrets(context) };
    const labels = labelsOf(urls);
    this.#channels = urls.map((url, index) =>
      namingOrigin(origins.get(url.text), () => this.#open(url, labels[index] ?? "")),
    );
  }

  #open({ text, url, driver }: NotifierUrl, label: string): Channel {
    const { env } = this.#context;
    const own = { ...this.#context, env: driverEnvironment(env, driver.environment) };
    const key = createHash("sha256").update(text).digest("hex").slice(0, 16);
    const quiet = isQuiet(url, label, driver);
    const isInFleet = this.#context.instance.fleet !== undefined;
    const notifier = driver.open(url, own);
    if (notifier === undefined) void this.#daily(() => driver.open(url, own));
    const onSettled = (entry: JournalEntry, isUrgent: boolean): Promise<void> =>
      this.#settle(key, entry, isUrgent);
    return {
      key,
      label,
      limiter: new Limiter({ quiet, all: driver.isForPrograms === true, isInFleet }),
      outbox: notifier && new Outbox({ ...this.#context, notifier, label, onSettled }),
    };
  }

  start(instance: { name: string; directory: string }): void {
    Object.assign(this.#context.instance, instance);
    this.#starting ??= this.#replay(instance.directory);
  }

  push(entry: JournalEntry): void {
    if (this.#early !== undefined) {
      this.#early.push(entry);
      return;
    }
    for (const channel of this.#channels) deliver(entry, channel);
  }

  status(): NotifierStatus[] {
    return this.#channels.map(({ outbox, label: notifier }) => {
      const missing = { state: "failing", error: "its credentials are missing" } as const;
      return outbox?.status() ?? { notifier, ...missing, waiting: 0, lost: 0 };
    });
  }

  async close(timeoutMs: number): Promise<void> {
    if (this.#end.signal.aborted) return;
    this.#end.abort();
    await this.#starting;
    await Promise.all(this.#channels.map(({ outbox }) => outbox?.close(timeoutMs)));
    await this.#save();
  }

  async #replay(root: string): Promise<void> {
    const startedAt = new Date(this.#context.clock.now()).toISOString();
    const cursors = await Cursors.load(root);
    if (cursors.isUnreadable) {
      const hint = "notifications that waited for this start are not sent";
      const fields = { file: ".dewy/notified.json", hint };
      this.#context.emit({ type: "warning", message: "Delivery state unreadable", fields });
    }
    const entries: JournalEntry[] = [];
    try {
      for await (const entry of readJournal(root)) entries.push(entry);
    } catch {
      // The journal itself reports what is wrong with its files.
    }
    const early = this.#early ?? [];
    this.#early = undefined;
    const isEarly = new Set(early.map(({ id }) => id));
    const earlier = entries.filter(({ id }) => id === undefined || !isEarly.has(id));
    this.#cursors = cursors;
    for (const channel of this.#channels) {
      if (channel.outbox === undefined) continue;
      const cursor = cursors.get(channel.key);
      if (cursor === undefined) cursors.set(channel.key, { at: startedAt });
      replay(earlier, cursor, channel);
      for (const entry of early) deliver(entry, channel);
    }
    await this.#save();
  }

  async #settle(key: string, { id, at }: JournalEntry, isUrgent: boolean): Promise<void> {
    this.#cursors?.set(key, { id, at });
    if (!isUrgent) return;
    const { clock } = this.#context;
    // A disk that hangs does not stop delivery.
    await withTimeout(this.#save(), { clock, ms: SAVE_MS, what: "disk" }).catch(() => {});
  }

  async #save(): Promise<void> {
    try {
      await this.#cursors?.save();
      this.#saveFails = false;
    } catch (error) {
      if (!this.#saveFails) {
        const hint = "a restart may repeat notifications";
        const fields = { error: messageOf(error), hint };
        this.#context.emit({ type: "warning", message: "Delivery not recorded", fields });
      }
      this.#saveFails = true;
    }
  }

  async #daily(remind: () => void): Promise<void> {
    const { signal } = this.#end;
    for (;;) {
      await this.#context.clock.sleep(DAY_MS, signal).catch(() => {});
      if (signal.aborted) return;
      remind();
    }
  }
}

function deliver(entry: JournalEntry, { limiter, outbox }: Channel, isEarlier = false): void {
  outbox?.push({ entry, notification: limiter.admit(entry), isEarlier });
}

/** Lets the limiter see what is settled, and delivers the rest. Without a cursor, the notifier is new. */
function replay(
  entries: readonly JournalEntry[],
  cursor: Cursor | undefined,
  channel: Channel,
): void {
  const first = cursor === undefined ? entries.length : firstUnsettled(entries, cursor);
  const settled = entries.slice(0, first);
  for (const entry of settled) channel.limiter.admit(entry);
  const activated = settled.findLast(({ event }) => event === "activated");
  if (activated !== undefined) channel.outbox?.push({ entry: activated, isSettled: true });
  for (const entry of entries.slice(first)) deliver(entry, channel, true);
}

/** An entry that was never written, or was rotated away, is found by its time. */
function firstUnsettled(entries: readonly JournalEntry[], { id, at }: Cursor): number {
  const index = id === undefined ? -1 : entries.findLastIndex((entry) => entry.id === id);
  if (index !== -1) return index + 1;
  const isLater = (entry: JournalEntry): boolean =>
    id === undefined ? entry.at >= at : entry.at > at;
  const later = entries.findIndex(isLater);
  return later === -1 ? entries.length : later;
}

/** The path of a webhook's URL is a secret, also in the events about its requests. */
function withoutSecrets({ emit, redact }: NotifierContext): EventSink {
  return (event) => {
    if (event.type !== "request" && event.type !== "retry") return emit(event);
    const own = { isNotification: true as const, url: redact(event.url) };
    if (event.type === "request") return emit({ ...event, ...own });
    emit({ ...event, ...own, reason: redact(event.reason) });
  };
}
