import type { Clock } from "../core/clock.ts";
import type { DewyEvent } from "../core/event.ts";
import type { Redact } from "../core/secret.ts";
import { type EntryFields, type JournalEntry, mapTexts } from "./entry.ts";
import { Attempts, type Recording, randomId, recordingOf } from "./recorded_events.ts";

export interface RecordedEntry {
  entry: JournalEntry;
  /** Whether it is synced to the disk and never left out. */
  isDurable: boolean;
}

type RecorderClock = Pick<Clock, "now" | "monotonic">;

/** Makes entries of events. A condition that lasts is one entry per change, not one per poll. */
export class Recorder {
  readonly #clock: RecorderClock;
  readonly #redact: Redact;
  readonly #attempts = new Attempts();
  readonly #conditions = new Conditions();
  readonly #limits = new Map<string, RateLimit>();

  constructor(clock: RecorderClock, redact: Redact) {
    this.#clock = clock;
    this.#redact = redact;
  }

  /** Continues after an entry of an earlier process, so that a restart does not repeat it. */
  resume(entry: JournalEntry): void {
    const recording = recordingOf(entry.event);
    const ageMs = this.#clock.now() - Date.parse(entry.at);
    if (recording === undefined || Math.abs(ageMs) > DAY_MS) return;
    this.#conditions.note(entry, recording);
    this.#limit(entry.event).take(this.#clock.monotonic() - Math.max(0, ageMs));
  }

  /** @param now when it happened, in milliseconds since the epoch. */
  record(event: DewyEvent, now: number = this.#clock.now()): RecordedEntry | undefined {
    const recording = recordingOf(event.type);
    const fields = recording && this.#fieldsOf(event, recording, now);
    if (recording === undefined || fields === undefined) return undefined;
    const at = new Date(now).toISOString();
    const own = { at, event: event.type, id: randomId(6) };
    const entry = { ...own, ...mapTexts({ ...own, ...fields }, this.#redact), ...own };
    if (!this.#conditions.note(entry, recording)) return undefined;
    const isDurable = recording.isDurable?.(event as never) === true;
    if (isDurable) return { entry, isDurable };
    const omitted = this.#limit(event.type).take(this.#clock.monotonic());
    if (omitted === undefined) return undefined;
    return { entry: omitted === 0 ? entry : { ...entry, omitted }, isDurable };
  }

  #fieldsOf(event: DewyEvent, { fields }: Recording, now: number): EntryFields | undefined {
    return typeof fields === "function"
      ? fields(event as never, this.#attempts, now, this.#redact)
      : Object.fromEntries(fields.map((name) => [name, event[name as keyof DewyEvent]]));
  }

  /** Keeps a crash loop and the like from driving the deploys out of the journal. */
  #limit(type: string): RateLimit {
    const limit = this.#limits.get(type) ?? rateLimit(type);
    this.#limits.set(type, limit);
    return limit;
  }
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

function rateLimit(type: string): RateLimit {
  return type === "webhook" ? new RateLimit(1, MINUTE_MS) : new RateLimit(20, 5 * MINUTE_MS);
}

const MAX_CONDITIONS = 500;

interface Condition {
  event: string;
  /** When it was recorded, in milliseconds since the epoch. */
  at: number;
}

/** The conditions that last and were recorded within a day. */
class Conditions {
  readonly #known = new Map<string, Condition>();

  /** Returns whether the entry is news. */
  note(entry: JournalEntry, { once, ends, implies }: Recording): boolean {
    const parts = typeof once === "function" ? once(entry) : once?.map((name) => entry[name]);
    const key = parts && JSON.stringify([entry.event, ...parts]);
    const at = Date.parse(entry.at);
    const known = key === undefined ? undefined : this.#known.get(key);
    // The system time may have been set back.
    if (known !== undefined && Math.abs(at - known.at) <= DAY_MS) return false;
    const implied = implies?.(entry);
    if (implied !== undefined) this.#known.set(JSON.stringify(implied), { event: implied[0], at });
    const ended = ends?.(entry) ?? [];
    for (const [known, { event }] of this.#known) {
      if (ended === "all" || ended.some((one) => one === event)) this.#known.delete(known);
    }
    if (this.#known.size >= MAX_CONDITIONS) this.#known.clear();
    if (key !== undefined) this.#known.set(key, { event: entry.event, at });
    return true;
  }
}

/** A token bucket that counts what it has refused. Times are in milliseconds since an arbitrary moment. */
class RateLimit {
  readonly #burst: number;
  readonly #refillMs: number;
  #tokens: number;
  #refilledAt: number | undefined;
  #refused = 0;

  /** @param refillMs after which time there is one token more. */
  constructor(burst: number, refillMs: number) {
    this.#burst = burst;
    this.#refillMs = refillMs;
    this.#tokens = burst;
  }

  /** Returns the number of refused calls since the last call that was not; `undefined` if this call is refused. */
  take(now: number): number | undefined {
    const since = this.#refilledAt ?? now;
    const earned = Math.max(0, Math.floor((now - since) / this.#refillMs));
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#refilledAt = this.#tokens === this.#burst ? now : since + earned * this.#refillMs;
    if (this.#tokens === 0) {
      this.#refused += 1;
      return undefined;
    }
    this.#tokens -= 1;
    const refused = this.#refused;
    this.#refused = 0;
    return refused;
  }
}
