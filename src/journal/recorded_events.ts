/**
 * The events that become entries of the journal, and what the entries say. The others are only logged.
 *
 * @module
 */
import { formatDuration } from "../core/duration.ts";
import type { DewyEvent } from "../core/event.ts";
import type { Operator } from "../core/operator.ts";
import type { Redact } from "../core/secret.ts";
import { rolloutText, utcMinute } from "../core/text.ts";
import type { EntryFields } from "./entry.ts";

type EventType = DewyEvent["type"];
type EventOf<T extends EventType> = Extract<DewyEvent, { type: T }>;

export interface Recording<T extends EventType = EventType> {
  /** It concerns a deploy, a rollback or a command: it is synced to the disk and never left out. */
  isDurable?: (event: EventOf<T>) => boolean;
  /**
   * The fields of the event to keep, or a function that returns `undefined` if the event has no entry.
   *
   * @param now when it happened, in milliseconds since the epoch.
   */
  fields:
    | readonly (keyof EventOf<T> & string)[]
    | ((
        event: EventOf<T>,
        attempts: Attempts,
        now: number,
        redact: Redact,
      ) => EntryFields | undefined);
  /** Of little interest to people: `dewy history` shows it only if asked for it by name. */
  isDetail?: true;
  /** For a condition that lasts: the fields that distinguish it from others. It is recorded once a day. */
  once?: readonly string[] | ((entry: EntryFields) => readonly unknown[]);
  /** A condition of another event that this entry already says. */
  implies?(entry: EntryFields): readonly [EventType, ...unknown[]];
  /** The conditions that are news again after this entry. */
  ends?(entry: EntryFields): readonly EventType[] | "all";
}

const always = (): boolean => true;

const MAX_LINES = 20;
const MAX_LINE_LENGTH = 500;
const HOOK_LINES = 5;

const RECORDINGS: { readonly [T in EventType]?: Recording<T> } = {
  started: {
    fields: ({ version, command, registry, directory }) => {
      return { mode: command, dewy: version, registry, directory };
    },
  },
  stopping: { fields: ["signal"] },
  ordered: {
    isDurable: always,
    fields: ({ command, operator }, attempts, now) => {
      if (command.startsWith("rollback")) attempts.beginRollback(now);
      return { command, ...byOperator(operator) };
    },
    ends: ({ command }) => (command === "poll" ? [] : "all"),
  },
  refused: {
    isDurable: always,
    fields: ({ command, operator, reason }) => ({ command, reason, ...byOperator(operator) }),
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
  "phase-failed": {
    fields: ({ tag, phase, durationMs }, attempts) => {
      attempts.addPhase(tag, phase, durationMs);
      return undefined;
    },
  },
  downloaded: { fields: ["tag", "artifact", "bytes", "durationMs"], isDetail: true },
  "image-pulled": { fields: ["tag", "image", "durationMs"], isDetail: true },
  hook: {
    fields: ({ tag, result }, attempts, _now, redact) => {
      const { when, command, exitCode, timedOut, durationMs } = result;
      const [stdout, stderr] = [redact(result.stdout), redact(result.stderr)];
      return {
        tag,
        ...attempts.of(tag),
        when,
        command,
        exitCode: exitCode ?? undefined,
        timedOut: timedOut || undefined,
        durationMs,
        stdout: excerpt(stdout),
        stderr: excerpt(stderr),
        lastLines: exitCode === 0 ? undefined : bounded((stderr || stdout).split("\n"), HOOK_LINES),
      };
    },
  },
  activated: { fields: ["tag", "directory"], isDetail: true },
  deployed: {
    isDurable: always,
    fields: ({ tag, previousTag, durationMs, operator, traceId, command: mode }, attempts) => {
      const attempt = attempts.end(tag);
      const by = byOperator(operator);
      return { tag, previousTag, durationMs, mode, ...attempt, ...by, traceId };
    },
    ends: () => "all",
  },
  "rolled-back": {
    isDurable: always,
    // An operator's rollback is a switch to the version that it returns to.
    fields: ({ tag, to, reason, operator, traceId }, attempts, now) => {
      if (operator === undefined) return { tag, to, reason, ...attempts.of(tag), traceId };
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
    fields: ({ tag, phase, error, count, retryInMs, traceId }, attempts) => {
      const { code, message: reason } = error;
      const attempt = tag === undefined ? {} : attempts.end(tag);
      return { tag, phase, reason, code, count, retryInMs, ...attempt, traceId };
    },
    once: ({ tag, phase, code, reason }) => [tag, phase, code, withoutNumbers(reason)],
    implies: ({ tag, reason }) => ["known-bad", tag, reason],
  },
  verified: {
    isDetail: true,
    fields: ({ tag, artifact, proofs }) => ({
      tag,
      artifact,
      reason: [...new Set(proofs.map(({ kind }) => kind))].join(", "),
    }),
  },
  "signer-trusted": {
    isDurable: always,
    fields: ({ tag, identity, operator }) => ({
      tag,
      signer: typeof identity === "string" ? identity : identity.subject,
      ...byOperator(operator),
    }),
  },
  "succeeded-again": { fields: ["after"], ends: () => ["failed"] },
  recovered: { isDurable: always, fields: ["tag", "action"] },
  waiting: {
    fields: ({ tag, why, reason, until }) => ({ tag, why, reason, until: until?.toISOString() }),
    once: ["tag", "why", "reason"],
  },
  rollout: {
    isDurable: always,
    fields: (event) => {
      const { fleet, tag, change, wave, waves, hosts, of } = event;
      return { tag, fleet, change, wave, waves, hosts, of, reason: rolloutText(event) };
    },
  },
  "listing-stale": {
    fields: ({ since, maxMs }) => ({
      reason: `its listing has not changed since ${utcMinute(since)}, and --max-staleness is ${formatDuration(maxMs)}`,
    }),
    once: ["reason"],
  },
  held: { fields: ["tag", "running", "reason"], once: ["tag", "running"] },
  "known-bad": { fields: ["tag", "reason"], once: ["tag", "reason"] },
  "bytes-changed": { fields: ["tag", "artifact"], once: ["tag", "artifact"] },
  "would-deploy": { fields: ["tag", "previousTag"], once: ["tag"] },
  polled: {
    isDetail: true,
    fields: ({ outcome, error: reason, isOpen }) => ({ outcome, reason, isOpen }),
    once: ["outcome", "isOpen"],
    ends: ({ outcome, isOpen }) =>
      outcome === "fine" && isOpen !== true ? ["polled", "failed"] : ["polled"],
  },
  webhook: {
    fields: ({ source, outcome }) => (outcome === "accepted" ? { source } : undefined),
  },
  "crash-loop": { isDurable: always, fields: ["tag", "crashes", "action"] },
  "server-started": {
    fields: ["tag", "restarted", "withPort", "generation", "pid"],
    isDetail: true,
  },
  adopted: { fields: ["tag", "pid"], isDetail: true },
  "containers-deployed": { fields: ["tag", "ready", "replicas"], isDetail: true },
  "containers-adopted": { fields: ["containers", "tags"], isDetail: true },
  "no-program": { fields: [], isDetail: true },
  "app-exited": {
    fields: ({ tag, generation, pid, code, signal, lastLines, restartInMs }, _1, _2, redact) => ({
      tag,
      generation,
      pid,
      retryInMs: restartInMs,
      exitCode: code ?? undefined,
      signal: signal ?? undefined,
      lastLines: bounded(withoutSecrets(lastLines, redact), MAX_LINES),
    }),
  },
  resumed: { fields: ["tag", "reason"] },
  "start-failed": {
    fields: ["tag", "reason", "retryInMs"],
    once: ({ tag, reason }) => [tag, withoutNumbers(reason)],
  },
  "replica-lost": {
    fields: ({ tag, container, reason, replaceInMs: retryInMs, ...event }, _1, _2, redact) => {
      const lastLines = bounded(withoutSecrets(event.lastLines, redact), MAX_LINES);
      return { tag, container, reason, retryInMs, lastLines };
    },
  },
  "app-restart": { fields: ["signal"] },
  pruned: { fields: ["directories"] },
  driver: {
    fields: ({ scheme, message: reason, fields, notify }) =>
      notify ? { scheme, reason, fields } : undefined,
  },
  "notifications-lost": {
    fields: ["notifier", "count", "reason"],
    once: ({ notifier, reason }) => [notifier, withoutNumbers(reason)],
  },
  uncaught: { fields: ({ error, count }) => (count === 1 ? { reason: error } : undefined) },
  warning: {
    fields: ({ message: reason, fields = {}, important }) =>
      important ? { reason, fields } : undefined,
    once: ({ reason, fields }) => [reason, withoutNumbers(JSON.stringify(fields))],
  },
};

/** The entry that stands for those that could not be written. */
export const GAP = "gap";

/** The names of all entries. */
export const JOURNAL_EVENTS: readonly string[] = [
  ...Object.keys(RECORDINGS).filter((name) => !name.startsWith("phase")),
  GAP,
];

/** Whether `dewy history` shows such entries only if asked for them by name. */
export function isDetail(event: string): boolean {
  return recordingOf(event)?.isDetail === true;
}

/** Returns `undefined` if events of this type are of no use for the journal. */
export function recordingOf(type: string): Recording | undefined {
  return Object.hasOwn(RECORDINGS, type)
    ? (RECORDINGS[type as EventType] as Recording | undefined)
    : undefined;
}

interface Attempt {
  deploy: string;
  phases: Record<string, number>;
}

const MAX_ATTEMPTS = 20;

/** The attempts to deploy a version that have not ended, by tag. */
export class Attempts {
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
  beginPhase(tag: string, phase: string): void {
    if (phase === "stage") this.#attempts.delete(tag);
    const { phases } = this.#open(tag);
    if (phase === "activate") for (const name of SWITCH_PHASES) delete phases[name];
  }

  addPhase(tag: string, phase: string, durationMs: number): void {
    this.#open(tag).phases[phase] = durationMs;
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
    const attempt = this.#attempts.get(tag) ?? { deploy: randomId(4), phases: {} };
    this.#attempts.set(tag, attempt);
    const [oldest = tag] = this.#attempts.keys();
    if (this.#attempts.size > MAX_ATTEMPTS) this.#attempts.delete(oldest);
    return attempt;
  }
}

const SWITCH_PHASES = ["activate", "verify", "bake", "commit"];

export function randomId(bytes: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");
}

function byOperator(operator: Operator | undefined): EntryFields {
  return operator === undefined ? {} : { user: operator.user, message: operator.message };
}

/** A secret may span several lines. */
function withoutSecrets(lines: readonly string[], redact: Redact): readonly string[] {
  return redact(lines.join("\n")).split("\n");
}

const MAX_OUTPUT = 1_800;
const MAX_HEAD = 500;

/** The beginning and the end of a long output, so that every notifier can show it as a whole. */
function excerpt(output: string): string | undefined {
  if (output.length <= MAX_OUTPUT) return output || undefined;
  const head = output.slice(0, MAX_HEAD).replace(/\n[^\n]*$/, "");
  const tail = output.slice(head.length - MAX_OUTPUT).replace(/^[^\n]*\n(?=.)/s, "");
  const left = output.length - head.length - tail.length;
  return `${head}\n… (${left} characters left out)\n${tail}`;
}

function bounded(lines: readonly string[], most: number): string[] | undefined {
  const last = lines.slice(-most).map((line) => line.slice(0, MAX_LINE_LENGTH));
  return last.some((line) => line !== "") ? last : undefined;
}

/** Process ids, ports and times differ each time that the same failure is reported; an exit code says something. */
function withoutNumbers(text = ""): string {
  return text.replaceAll(/(?<!exit code )\b\d+/g, "0");
}
