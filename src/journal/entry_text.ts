/**
 * What an entry of the journal says, for people.
 *
 * @module
 */

import { localTime, roughDuration } from "../core/duration.ts";
import { operatorText } from "../core/operator.ts";
import type { JournalEntry } from "./entry.ts";

type Words = readonly (string | undefined)[];

const TEXTS: Readonly<Record<string, (entry: JournalEntry) => Words>> = {
  started: ({ dewy, mode, registry }) => [`dewy ${dewy} ${mode}`, shown(registry)],
  stopping: ({ signal }) => [signal],
  ordered: (entry) => [`${entry.command ?? ""} by ${operatorOf(entry) ?? "unknown"}`],
  deployed: (entry) => [after("from", entry.previousTag), phasesText(entry), askedForBy(entry)],
  "rolled-back": (entry) => [
    after("to", entry.to),
    entry.user === undefined ? entry.reason : undefined,
    phasesText(entry),
    askedForBy(entry),
  ],
  superseded: ({ by }) => [after("by", by)],
  failed: (entry) => [after("in", entry.phase), entry.reason, phasesText(entry), retryText(entry)],
  "succeeded-again": ({ after: count }) => [
    `the poll, after ${count} ${count === 1 ? "failure" : "failures"}`,
  ],
  downloaded: ({ artifact }) => [shown(artifact)],
  "image-pulled": ({ image }) => [shown(image)],
  activated: ({ directory }) => [shown(directory)],
  verified: ({ artifact, reason }) => [`${shown(artifact)} by ${reason}`],
  "signer-trusted": (entry) => [shown(entry.signer), askedForBy(entry)],
  "server-started": ({ pid }) => [after("pid", shown(pid))],
  adopted: ({ pid }) => [after("pid", shown(pid))],
  "containers-deployed": ({ ready, replicas }) => [
    `${shown(ready)} of ${shown(replicas)} replicas`,
  ],
  "containers-adopted": ({ containers }) => [listOf(containers)],
  driver: ({ scheme, reason, fields }) => [`${shown(scheme)}: ${reason}`, fieldsText(fields)],
  "notifications-lost": ({ count, notifier, reason }) => [
    `${shown(count)} for ${shown(notifier)}`,
    reason,
  ],
  hook: (entry) => [`${entry.when} the deploy`, endText(entry)],
  recovered: ({ action }) => [shown(action)],
  waiting: ({ reason, until }) => [reason, after("until", until && localTime(until))],
  "listing-stale": ({ reason }) => [`the registry may be frozen: ${reason}`],
  held: ({ running, reason }) => [`${running} runs`, reason],
  "bytes-changed": ({ artifact }) => [`${artifact} has other bytes than before`],
  "would-deploy": ({ previousTag }) => ["dry run", after("from", previousTag)],
  polled: ({ outcome, reason }) => [shown(outcome), reason],
  webhook: ({ source }) => [after("from", shown(source))],
  "crash-loop": ({ crashes, action }) => [`${crashes} crashes`, shown(action)],
  "app-exited": (entry) => [endText(entry), retryText(entry)],
  "start-failed": (entry) => [entry.reason, retryText(entry)],
  "replica-lost": (entry) => [shown(entry.container), entry.reason, retryText(entry)],
  "app-restart": ({ signal }) => [after("by", signal)],
  pruned: ({ directories }) => [listOf(directories)],
  warning: ({ reason, fields }) => [reason, fieldsText(fields)],
  gap: ({ omitted, reason }) => [`${omitted} entries are missing`, reason],
};

/** Why and by whom, and the phases of a deploy; empty for an entry that says nothing more. */
export function entryText(entry: JournalEntry): string {
  const reason = entry.reason && withoutTag(entry.reason, entry.tag);
  const words = TEXTS[entry.event]?.({ ...entry, reason }) ?? [reason, askedForBy(entry)];
  const { event, omitted = 0 } = entry;
  const rest = omitted > 0 && event !== "gap" ? `${omitted} more before it` : undefined;
  return [...words, rest].filter((word) => word !== undefined && word !== "").join("; ");
}

/** The line names the version already. */
export function withoutTag(reason: string, tag: string | undefined | null): string {
  const start = `Cannot deploy ${tag}: `;
  return reason.startsWith(start) ? reason.slice(start.length) : reason;
}

const SHORT_MS = 100;

/** `stage 1.2s, verify 3s, bake 30s`, without the phases that took hardly any time. */
function phasesText({ phases = {} }: JournalEntry): string | undefined {
  const texts = Object.entries(phases)
    .filter(([, ms]) => ms >= SHORT_MS)
    .map(([name, ms]) => `${name} ${roughDuration(ms)}`);
  return texts.length === 0 ? undefined : texts.join(", ");
}

function operatorOf({ user, message }: JournalEntry): string | undefined {
  return user === undefined ? undefined : operatorText({ user, message });
}

function askedForBy(entry: JournalEntry): string | undefined {
  return after("asked for by", operatorOf(entry));
}

function endText({ exitCode, signal, timedOut }: JournalEntry): string | undefined {
  if (timedOut) return "killed by the timeout";
  return signal === undefined ? after("exit code", shown(exitCode)) : `killed by ${signal}`;
}

function retryText({ retryInMs }: JournalEntry): string | undefined {
  return retryInMs === undefined ? undefined : `next attempt in ${roughDuration(retryInMs)}`;
}

function after(word: string, value: string | undefined): string | undefined {
  return value === undefined || value === "" ? undefined : `${word} ${value}`;
}

/** A field that the schema does not know may have any type. */
function shown(value: unknown): string | undefined {
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

function listOf(values: unknown): string | undefined {
  return Array.isArray(values) ? values.join(", ") : undefined;
}

function fieldsText(fields: unknown): string | undefined {
  if (typeof fields !== "object" || fields === null) return undefined;
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}`)
    .join(", ");
}
