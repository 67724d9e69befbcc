/**
 * Decides which events become entries of the journal. A condition that lasts is one entry per change, not one per poll.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import type { DeployPhase } from "../core/error.ts";
import type { DewyEvent } from "../core/event.ts";
import type { Operator } from "../core/operator.ts";
import type { JournalEntry } from "./entry.ts";
import { RateLimit } from "./rate_limit.ts";

type EventType = DewyEvent["type"];
type EventOf<T extends EventType> = Extract<DewyEvent, { type: T }>;

/** What an event says, without the time and the name. */
type Fields = Partial<Omit<JournalEntry, "at" | "event">>;

export interface RecordedEntry {
  entry: JournalEntry;
  /** Whether it concerns a deploy, a rollback or a command: it is synced to the disk and never left out. */
  isDurable: boolean;
}

interface Decision<T extends EventType> {
  isDurable?: (event: EventOf<T>) => boolean;
  /** Returns `undefined` if this event changes nothing that was recorded. */
  fields(event: EventOf<T>, memory: Memory): Fields | undefined;
}

type Decisions = { readonly [T in EventType]: Decision<T> | undefined };

/** The events that matter only to the log. */
const ignored = undefined;
const always = (): boolean => true;

const MAX_LINES = 20;
const MAX_LINE_LENGTH = 500;
const HOOK_LINES = 5;
const WEBHOOK_PAUSE_MS = 60_000;

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
    fields: ({ command, operator }, memory) => {
      if (command !== "poll") memory.forget();
      return { command, ...byOperator(operator) };
    },
  },
  phase: {
    fields: ({ tag, phase, durationMs }, memory) => {
      memory.addPhase(tag, phase, durationMs);
      return undefined;
    },
  },
  hook: {
    fields: ({ tag, result }, memory) => ({
      tag,
      ...memory.attempt(tag),
      when: result.when,
      exitCode: result.exitCode ?? undefined,
      timedOut: result.timedOut || undefined,
      durationMs: result.durationMs,
      lastLines: result.exitCode === 0 ? undefined : hookOutput(result),
    }),
  },
  deployed: {
    isDurable: always,
    fields: ({ tag, previousTag, durationMs, operator }, memory) => {
      memory.forget();
      const attempt = memory.endAttempt(tag);
      return { tag, previousTag, durationMs, ...attempt, ...byOperator(operator) };
    },
  },
  "rolled-back": {
    isDurable: always,
    // An operator's rollback is a switch to the version that it returns to.
    fields: ({ tag, to, reason, operator }, memory) => ({
      tag,
      to,
      reason,
      ...(operator === undefined ? memory.attempt(tag) : memory.endAttempt(to)),
      ...byOperator(operator),
    }),
  },
  superseded: {
    isDurable: always,
    fields: ({ tag, by }, memory) => ({ tag, by, ...memory.endAttempt(tag) }),
  },
  failed: {
    isDurable: ({ tag }) => tag !== undefined,
    fields: ({ tag, phase, error, count, retryInMs }, memory) => {
      const attempt = tag === undefined ? {} : memory.endAttempt(tag);
      const key = [tag ?? "", phase, error.code, withoutNumbers(error.message)];
      if (!memory.isNew("failed", ...key)) return undefined;
      const { code, message: reason } = error;
      return { tag, phase, reason, code, count, retryInMs, ...attempt };
    },
  },
  "succeeded-again": {
    fields: ({ after }, memory) => {
      memory.forget("failed");
      return { after };
    },
  },
  recovered: { isDurable: always, fields: ({ tag, action }) => ({ tag, action }) },
  waiting: {
    fields: ({ tag, why, reason, until }, memory) =>
      memory.isNew("waiting", tag, why, reason)
        ? { tag, why, reason, until: until?.toISOString() }
        : undefined,
  },
  held: {
    fields: ({ tag, running, reason }, memory) =>
      memory.isNew("held", tag, running) ? { tag, running, reason } : undefined,
  },
  "known-bad": {
    fields: ({ tag, reason }, memory) =>
      memory.isNew("known-bad", tag, reason) ? { tag, reason } : undefined,
  },
  "bytes-changed": {
    fields: ({ tag, artifact }, memory) =>
      memory.isNew("bytes-changed", tag, artifact) ? { tag, artifact } : undefined,
  },
  "would-deploy": {
    fields: ({ tag, previousTag }, memory) =>
      memory.isNew("would-deploy", tag) ? { tag, previousTag } : undefined,
  },
  polled: {
    fields: ({ outcome, error }, memory) =>
      memory.hasChanged("polled", outcome) ? { outcome, reason: error } : undefined,
  },
  webhook: {
    fields: ({ source, outcome }, memory) =>
      outcome === "accepted" ? memory.coalesce(`webhook ${source}`, { source }) : undefined,
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
    fields: ({ tag, reason, retryInMs }, memory) =>
      memory.isNew("start-failed", tag, withoutNumbers(reason))
        ? { tag, reason, retryInMs }
        : undefined,
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
    fields: ({ message, fields = {}, important }, memory) => {
      if (!important || !memory.isNew("warning", message, JSON.stringify(fields))) return undefined;
      return { reason: message, fields };
    },
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
  "phase-started": ignored,
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
    decision === undefined || name === "phase" ? [] : [name],
  ),
  GAP,
];

export class Recorder {
  readonly #clock: Pick<Clock, "now" | "monotonic">;
  readonly #memory: Memory;
  readonly #limits = new Map<string, RateLimit>();

  constructor(clock: Pick<Clock, "now" | "monotonic">) {
    this.#clock = clock;
    this.#memory = new Memory(clock);
  }

  record(event: DewyEvent): RecordedEntry | undefined {
    const decision = DECISIONS[event.type] as Decision<EventType> | undefined;
    const fields = decision?.fields(event as never, this.#memory);
    if (fields === undefined) return undefined;
    const isDurable = decision?.isDurable?.(event as never) === true;
    const omitted = isDurable ? 0 : this.#omit(event.type);
    if (omitted === undefined) return undefined;
    const entry: JournalEntry = {
      at: new Date(this.#clock.now()).toISOString(),
      event: event.type,
      ...defined(fields),
      ...(omitted === 0 ? {} : { omitted }),
    };
    return { entry, isDurable };
  }

  /** Keeps a crash loop and the like from driving the deploys out of the journal. */
  #omit(type: EventType): number | undefined {
    const limit = this.#limits.get(type) ?? new RateLimit(this.#clock);
    this.#limits.set(type, limit);
    return limit.take();
  }
}

interface Attempt {
  deploy: string;
  phases: Record<string, number>;
}

const MAX_ATTEMPTS = 20;
const MAX_KNOWN = 500;

/** What was recorded before, as far as it decides about later events. */
class Memory {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #attempts = new Map<string, Attempt>();
  readonly #known = new Set<string>();
  readonly #latest = new Map<string, string>();
  readonly #coalesced = new Map<string, { at: number; omitted: number }>();

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** Whether this was not recorded since {@link forget}. */
  isNew(...words: readonly string[]): boolean {
    const key = JSON.stringify(words);
    if (this.#known.has(key)) return false;
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.add(key);
    return true;
  }

  /** After a change, the same condition is news again. */
  forget(kind?: string): void {
    for (const key of this.#known) {
      if (kind === undefined || JSON.parse(key)[0] === kind) this.#known.delete(key);
    }
  }

  hasChanged(name: string, value: string): boolean {
    const isSame = this.#latest.get(name) === value;
    this.#latest.set(name, value);
    return !isSame;
  }

  coalesce(key: string, fields: Fields): Fields | undefined {
    const at = this.#clock.monotonic();
    const last = this.#coalesced.get(key);
    if (last !== undefined && at - last.at < WEBHOOK_PAUSE_MS) {
      last.omitted += 1;
      return undefined;
    }
    this.#coalesced.set(key, { at, omitted: 0 });
    return { ...fields, omitted: last?.omitted || undefined };
  }

  addPhase(tag: string, phase: DeployPhase, durationMs: number): void {
    if (phase === "stage") this.#attempts.delete(tag);
    const { phases } = this.#open(tag);
    if (phase === "activate") for (const name of SWITCH_PHASES) delete phases[name];
    // The bake is reported as a second phase `verify`.
    const name = phase === "verify" && phases.verify !== undefined ? "bake" : phase;
    phases[name] = durationMs;
  }

  /** The attempt to deploy this version, which goes on. */
  attempt(tag: string): Fields {
    const { deploy, phases } = this.#open(tag);
    return { deploy, phases: Object.keys(phases).length === 0 ? undefined : { ...phases } };
  }

  endAttempt(tag: string): Fields {
    const fields = this.attempt(tag);
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

function byOperator(operator: Operator | undefined): Fields {
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
function withoutNumbers(message: string): string {
  return message.replaceAll(/(?<!exit code )\b\d+/g, "0");
}

/** `exactOptional` fields are absent, never `undefined`. */
function defined(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
