/**
 * Decides which events become entries of the journal. A condition that lasts is one entry per change, not one per poll.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import type { DeployPhase } from "../core/error.ts";
import type { DewyEvent } from "../core/event.ts";
import type { Operator } from "../core/operator.ts";
import type { Redact } from "../core/secret.ts";
import { type EntryFields, type JournalEntry, mapTexts } from "./entry.ts";
import { RateLimit } from "./rate_limit.ts";

type EventType = DewyEvent["type"];
type EventOf<T extends EventType> = Extract<DewyEvent, { type: T }>;

export interface RecordedEntry {
  entry: JournalEntry;
  /** Whether it concerns a deploy, a rollback or a command: it is synced to the disk and never left out. */
  isDurable: boolean;
}

interface Decision<T extends EventType> {
  isDurable?: (event: EventOf<T>) => boolean;
  /**
   * Returns `undefined` if the event has no entry.
   *
   * @param now when it happened, in milliseconds since the epoch.
   */
  fields(event: EventOf<T>, attempts: Attempts, now: number): EntryFields | undefined;
  /** For a condition that lasts: the fields that distinguish it from others. It is recorded once. */
  once?(entry: EntryFields): readonly unknown[];
  /** A condition of another event that this entry already says. */
  implies?(entry: EntryFields): readonly [EventType, ...unknown[]];
  /** The conditions that are news again after this entry. */
  ends?(entry: EntryFields): readonly EventType[] | "all";
}

type Decisions = { readonly [T in EventType]: Decision<T> | undefined };

/** The events that matter only to the log. */
const ignored = undefined;
const always = (): boolean => true;

const MAX_LINES = 20;
const MAX_LINE_LENGTH = 500;
const HOOK_LINES = 5;

// The type makes the compiler name every event that has no decision yet.
const DECISIONS: Decisions = {
  started: {
    fields: ({ version, command, registry, directory }) => ({
      mode: command,
      dewy: version,
      registry,
      directory,
    }),
  },
  stopping: { fields: ({ signal }) => ({ signal }) },
  ordered: {
    isDurable: always,
    fields: ({ command, operator }, attempts, now) => {
      if (command.startsWith("rollback")) attempts.beginRollback(now);
      return { command, ...byOperator(operator) };
    },
    ends: ({ command }) => (command === "poll" ? [] : "all"),
  },
  "phase-started": {
    fields: ({ tag, phase }, attempts) => {
      attempts.beginPhase(tag, phase);
      return undefined;
    },
  },
  phase: {
    fields: ({ tag, phase, durationMs }, attempts) => {
      attempts.addPhase(tag, phase, durationMs);
      return undefined;
    },
  },
  hook: {
    fields: ({ tag, result }, attempts) => ({
      tag,
      ...attempts.of(tag),
      when: result.when,
      exitCode: result.exitCode ?? undefined,
      timedOut: result.timedOut || undefined,
      durationMs: result.durationMs,
      lastLines: result.exitCode === 0 ? undefined : hookOutput(result),
    }),
  },
  deployed: {
    isDurable: always,
    fields: ({ tag, previousTag, durationMs, operator }, attempts) => {
      const attempt = attempts.end(tag);
      return { tag, previousTag, durationMs, ...attempt, ...byOperator(operator) };
    },
    ends: () => "all",
  },
  "rolled-back": {
    isDurable: always,
    // An operator's rollback is a switch to the version that it returns to.
    fields: ({ tag, to, reason, operator }, attempts, now) => {
      if (operator === undefined) return { tag, to, reason, ...attempts.of(tag) };
      const durationMs = attempts.endRollback(now);
      return { tag, to, reason, durationMs, ...attempts.end(to), ...byOperator(operator) };
    },
  },
  superseded: {
    isDurable: always,
    fields: ({ tag, by }, attempts) => ({ tag, by, ...attempts.end(tag) }),
  },
  "given-up": {
    isDurable: always,
    fields: ({ tag, reason }, attempts) => ({ tag, reason, ...attempts.end(tag) }),
  },
  failed: {
    isDurable: ({ tag }) => tag !== undefined,
    fields: ({ tag, phase, error, count, retryInMs }, attempts) => {
      const { code, message: reason } = error;
      const attempt = tag === undefined ? {} : attempts.end(tag);
      return { tag, phase, reason, code, count, retryInMs, ...attempt };
    },
    once: ({ tag, phase, code, reason }) => [tag, phase, code, withoutNumbers(reason)],
    implies: ({ tag, reason }) => ["known-bad", tag, reason],
  },
  "succeeded-again": { fields: ({ after }) => ({ after }), ends: () => ["failed"] },
  recovered: { isDurable: always, fields: ({ tag, action }) => ({ tag, action }) },
  waiting: {
    fields: ({ tag, why, reason, until }) => ({ tag, why, reason, until: until?.toISOString() }),
    once: ({ tag, why, reason }) => [tag, why, reason],
  },
  held: {
    fields: ({ tag, running, reason }) => ({ tag, running, reason }),
    once: ({ tag, running }) => [tag, running],
  },
  "known-bad": {
    fields: ({ tag, reason }) => ({ tag, reason }),
    once: ({ tag, reason }) => [tag, reason],
  },
  "bytes-changed": {
    fields: ({ tag, artifact }) => ({ tag, artifact }),
    once: ({ tag, artifact }) => [tag, artifact],
  },
  "would-deploy": {
    fields: ({ tag, previousTag }) => ({ tag, previousTag }),
    once: ({ tag }) => [tag],
  },
  polled: {
    fields: ({ outcome, error }) => ({ outcome, reason: error }),
    once: ({ outcome }) => [outcome],
    ends: ({ outcome }) => (outcome === "fine" ? ["polled", "failed"] : ["polled"]),
  },
  webhook: {
    fields: ({ source, outcome }) => (outcome === "accepted" ? { source } : undefined),
  },
  "crash-loop": {
    isDurable: always,
    fields: ({ tag, crashes, action }) => ({ tag, crashes, action }),
  },
  "app-exited": {
    fields: ({ tag, generation, pid, code, signal, lastLines, restartInMs }) => ({
      tag,
      generation,
      pid,
      exitCode: code ?? undefined,
      signal: signal ?? undefined,
      retryInMs: restartInMs,
      lastLines: bounded(lastLines, MAX_LINES),
    }),
  },
  resumed: { fields: ({ tag, reason }) => ({ tag, reason }) },
  "start-failed": {
    fields: ({ tag, reason, retryInMs }) => ({ tag, reason, retryInMs }),
    once: ({ tag, reason }) => [tag, withoutNumbers(reason)],
  },
  "replica-lost": {
    fields: ({ tag, container, reason, lastLines, replaceInMs }) => ({
      tag,
      container,
      reason,
      retryInMs: replaceInMs,
      lastLines: bounded(lastLines, MAX_LINES),
    }),
  },
  "app-restart": { fields: ({ signal }) => ({ signal }) },
  pruned: { fields: ({ directories }) => ({ directories }) },
  uncaught: { fields: ({ error, count }) => (count === 1 ? { reason: error } : undefined) },
  warning: {
    fields: ({ message, fields = {}, important }) =>
      important ? { reason: message, fields } : undefined,
    once: ({ reason, fields }) => [reason, withoutNumbers(JSON.stringify(fields))],
  },
  request: ignored,
  retry: ignored,
  anonymous: ignored,
  credentials: ignored,
  "rate-limit": ignored,
  "poll-spaced": ignored,
  resolved: ignored,
  "artifact-chosen": ignored,
  unchanged: ignored,
  "up-to-date": ignored,
  pending: ignored,
  nothing: ignored,
  "download-progress": ignored,
  downloaded: ignored,
  unverified: ignored,
  extracted: ignored,
  activated: ignored,
  "server-started": ignored,
  "generation-ready": ignored,
  draining: ignored,
  drained: ignored,
  "background-ended": ignored,
  adopted: ignored,
  "image-pulling": ignored,
  "image-pulled": ignored,
  "replica-ready": ignored,
  "replica-retired": ignored,
  "containers-serving": ignored,
  "containers-deployed": ignored,
  "containers-ending": ignored,
  "containers-adopted": ignored,
  "images-removed": ignored,
  "no-program": ignored,
  "directory-of-program": ignored,
  reported: ignored,
  listening: ignored,
  "upstream-polled": ignored,
  "upstream-failed": ignored,
  "version-asked": ignored,
  "deploy-reported": ignored,
  "artifact-sent": ignored,
  "uncaught-stack": ignored,
  driver: ignored,
};

/** The entry that stands for those that could not be written. */
export const GAP = "gap";

/** The names of all entries. */
export const JOURNAL_EVENTS: readonly string[] = [
  ...Object.entries(DECISIONS).flatMap(([name, decision]) =>
    decision === undefined || name.startsWith("phase") ? [] : [name],
  ),
  GAP,
];

type RecorderClock = Pick<Clock, "now" | "monotonic">;

/** Whether events of this type are of use for the journal. */
export function concernsJournal({ type }: DewyEvent): boolean {
  return DECISIONS[type] !== undefined;
}

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

  /** Continues after the entries of an earlier process, so that a restart does not repeat them. */
  resume(entries: readonly JournalEntry[]): void {
    for (const entry of entries) {
      const decision = decisionOf(entry.event);
      const ageMs = this.#clock.now() - Date.parse(entry.at);
      if (decision === undefined || ageMs < 0 || ageMs > RESUMED_MS) continue;
      this.#conditions.note(entry, decision);
      this.#limit(entry.event).take(this.#clock.monotonic() - ageMs);
    }
  }

  /** @param now when it happened, in milliseconds since the epoch. */
  record(event: DewyEvent, now: number = this.#clock.now()): RecordedEntry | undefined {
    const decision = decisionOf(event.type);
    const fields = decision?.fields(event as never, this.#attempts, now);
    if (decision === undefined || fields === undefined) return undefined;
    const at = new Date(now).toISOString();
    const entry = { ...mapTexts({ ...fields, at, event: event.type }, this.#redact), at };
    if (!this.#conditions.note(entry, decision)) return undefined;
    const isDurable = decision.isDurable?.(event as never) === true;
    if (isDurable) return { entry, isDurable };
    const omitted = this.#limit(event.type).take(this.#clock.monotonic());
    if (omitted === undefined) return undefined;
    return { entry: omitted === 0 ? entry : { ...entry, omitted }, isDurable };
  }

  /** Keeps a crash loop and the like from driving the deploys out of the journal. */
  #limit(type: string): RateLimit {
    const limit = this.#limits.get(type) ?? rateLimit(type);
    this.#limits.set(type, limit);
    return limit;
  }
}

const MINUTE_MS = 60_000;
const RESUMED_MS = 24 * 60 * MINUTE_MS;

function rateLimit(type: string): RateLimit {
  return type === "webhook" ? new RateLimit(1, MINUTE_MS) : new RateLimit(20, 5 * MINUTE_MS);
}

function decisionOf(type: string): Decision<EventType> | undefined {
  return Object.hasOwn(DECISIONS, type)
    ? (DECISIONS[type as EventType] as Decision<EventType> | undefined)
    : undefined;
}

const MAX_CONDITIONS = 500;

/** The conditions that last and were recorded. */
class Conditions {
  readonly #known = new Map<string, string>();

  /** Returns whether the entry is news. */
  note(entry: JournalEntry, { once, ends, implies }: Decision<EventType>): boolean {
    const key = once && JSON.stringify([entry.event, ...once(entry)]);
    if (key !== undefined && this.#known.has(key)) return false;
    const implied = implies?.(entry);
    if (implied !== undefined) this.#known.set(JSON.stringify(implied), implied[0]);
    const ended = ends?.(entry) ?? [];
    for (const [known, event] of this.#known) {
      if (ended === "all" || ended.some((one) => one === event)) this.#known.delete(known);
    }
    if (this.#known.size >= MAX_CONDITIONS) this.#known.clear();
    if (key !== undefined) this.#known.set(key, entry.event);
    return true;
  }
}

interface Attempt {
  deploy: string;
  phases: Record<string, number>;
}

const MAX_ATTEMPTS = 20;

/** The attempts to deploy a version that have not ended, by tag. */
class Attempts {
  readonly #attempts = new Map<string, Attempt>();
  #rollbackAt: number | undefined;

  /** An operator has asked for a rollback. */
  beginRollback(now: number): void {
    this.#rollbackAt = now;
  }

  /** Returns how long it took in milliseconds, unless an earlier process has begun it. */
  endRollback(now: number): number | undefined {
    const startedAt = this.#rollbackAt;
    this.#rollbackAt = undefined;
    return startedAt === undefined ? undefined : Math.max(0, now - startedAt);
  }

  /** Forgets the phases of an earlier attempt that was given up without an event. */
  beginPhase(tag: string, phase: DeployPhase): void {
    if (phase === "stage") this.#attempts.delete(tag);
    const { phases } = this.#open(tag);
    if (phase === "activate") for (const name of SWITCH_PHASES) delete phases[name];
  }

  addPhase(tag: string, phase: DeployPhase, durationMs: number): void {
    const { phases } = this.#open(tag);
    // The bake is reported as a second phase `verify`.
    const name = phase === "verify" && phases.verify !== undefined ? "bake" : phase;
    phases[name] = durationMs;
  }

  of(tag: string): EntryFields {
    const { deploy, phases } = this.#open(tag);
    return { deploy, phases: Object.keys(phases).length === 0 ? undefined : { ...phases } };
  }

  end(tag: string): EntryFields {
    const fields = this.of(tag);
    this.#attempts.delete(tag);
    return fields;
  }

  #open(tag: string): Attempt {
    const attempt = this.#attempts.get(tag) ?? { deploy: randomId(), phases: {} };
    this.#attempts.set(tag, attempt);
    const [oldest = tag] = this.#attempts.keys();
    if (this.#attempts.size > MAX_ATTEMPTS) this.#attempts.delete(oldest);
    return attempt;
  }
}

const SWITCH_PHASES = ["activate", "verify", "bake", "commit"];

function randomId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(4))).toString("hex");
}

function byOperator(operator: Operator | undefined): EntryFields {
  return operator === undefined ? {} : { user: operator.user, message: operator.message };
}

function hookOutput({ stdout, stderr }: EventOf<"hook">["result"]): string[] | undefined {
  return bounded((stderr === "" ? stdout : stderr).split("\n"), HOOK_LINES);
}

function bounded(lines: readonly string[], most: number): string[] | undefined {
  const last = lines.slice(-most).map((line) => line.slice(0, MAX_LINE_LENGTH));
  return last.some((line) => line !== "") ? last : undefined;
}

/** Process ids, ports and times differ each time that the same failure is reported; an exit code says something. */
function withoutNumbers(text = ""): string {
  return text.replaceAll(/(?<!exit code )\b\d+/g, "0");
}
