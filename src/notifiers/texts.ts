import { formatDuration } from "../core/duration.ts";
import { FLEET_USER, operatorText } from "../core/operator.ts";
import { utcMinute } from "../core/text.ts";
import type { JournalEntry } from "../journal/entry.ts";
import { withoutTag } from "../journal/entry_text.ts";
import type { Notification } from "./driver.ts";
import { hookOf, hookTitle } from "./hook.ts";
import { code, rich, type Span } from "./rich_text.ts";

/** Which entries a notifier gets. */
export interface Wanted {
  /** Only successes, errors and failed hooks. */
  quiet: boolean;
  /** Also what only repeats another notification for people, because programs look for one name. */
  all?: boolean;
  /** Whether the host is one of a fleet: of its own work, only failures and the commands of operators. */
  isInFleet?: boolean;
}

type Parts = Pick<Notification, "kind" | "text">;

/** The notification of an entry, in the words that users of the Go dewy know; `undefined` if there is none. */
export function notificationOf(
  entry: JournalEntry,
  { quiet, all = false, isInFleet = false }: Wanted,
): Notification | undefined {
  const parts = TEXTS[entry.event]?.(entry, all);
  if (parts === undefined) return undefined;
  if (quiet && (parts.kind === "message" || parts.kind === "hook-passed")) return undefined;
  if (isInFleet && isOfEveryHost(entry, parts)) return undefined;
  return { id: idOf(entry), ...parts, entry };
}

/** A thousand hosts say it as well. */
function isOfEveryHost({ event, user }: JournalEntry, { kind }: Parts): boolean {
  if (event === "rollout" || kind === "error" || kind === "hook-failed") return false;
  return user === undefined || user === FLEET_USER;
}

/** The entries of earlier versions have no id. */
export function idOf({ id, at, event }: JournalEntry): string {
  return id ?? `${at}-${event}`;
}

/** The end of a row of failures. */
export function recoveryOf(entry: JournalEntry, lastedMs: number, failures: number): Notification {
  const parts = success`Recovered after ${roughSpan(lastedMs)} (${failures} failures)`;
  return { id: idOf(entry), ...parts, entry };
}

/** A notification that is delivered late says when it happened. */
export function lateNotification(notification: Notification): Notification {
  const lateAt = utcMinute(new Date(notification.entry.at));
  return { ...notification, lateAt, text: rich`[${lateAt}] ${notification.text}` };
}

/** `2h 5m`: the two largest units. */
function roughSpan(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const units = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const;
  const first = units.findIndex(([count]) => count > 0);
  const parts = first === -1 ? [] : units.slice(first, first + 2).filter(([count]) => count > 0);
  return parts.map(([count, unit]) => `${count}${unit}`).join(" ") || "0s";
}

const SIGNAL_NAMES: Readonly<Record<string, string>> = {
  SIGINT: "interrupt",
  SIGTERM: "terminated",
  SIGQUIT: "quit",
};

const message = partsOf("message");
const error = partsOf("error");
const success = partsOf("success");

function partsOf(kind: Parts["kind"]) {
  return (...template: Parameters<typeof rich>): Parts => ({ kind, text: rich(...template) });
}

const TEXTS: Readonly<Record<string, (entry: JournalEntry, all: boolean) => Parts | undefined>> = {
  started: ({ dewy, mode }) =>
    message`Automatic shipping started by ${{ bold: "Dewy" }} (v${shown(dewy)}: ${shown(mode)})`,
  stopping: ({ signal = "" }) =>
    message`Stop receiving by ${code(SIGNAL_NAMES[signal] ?? signal)} signal`,
  downloaded: (entry) => message`Downloaded artifact for ${tagOf(entry)}`,
  hook: hookParts,
  deployed: (entry, all) => {
    // The number of containers has announced it.
    if (entry.mode === "container" && entry.user === undefined && !all) return undefined;
    return success`Deployed ${tagOf(entry)}${byText(entry)}`;
  },
  "server-started": (entry) => {
    const verb = entry.restarted === true ? "restarted" : "started";
    const port = entry.withPort === false ? " without port" : "";
    return message`Server ${verb} for ${tagOf(entry)}${port}`;
  },
  "app-restart": ({ signal = "" }) => message`Restarted receiving by ${code(signal)} signal`,
  "app-exited": exitParts,
  resumed: (entry) =>
    error`${tagOf(entry)} failed when it was restarted; the previous process keeps serving: ${reasonOf(entry)}`,
  "start-failed": (entry) =>
    error`Cannot start ${tagOf(entry)}: ${reasonOf(entry)}${nextTry(entry.retryInMs)}`,
  "crash-loop": (entry) =>
    error`${tagOf(entry)} keeps crashing (${shown(entry.crashes)} times): ${shown(entry.action)}`,
  adopted: (entry) => message`Found ${tagOf(entry)} still running from an earlier start of dewy`,
  "image-pulled": (entry) => message`Pulled image for ${tagOf(entry)}`,
  "containers-deployed": (entry) => {
    const count = code(`${shown(entry.ready)}/${shown(entry.replicas)}`);
    return success`Container deployed successfully: ${count} replicas of ${tagOf(entry)}`;
  },
  "containers-adopted": adoptedParts,
  "replica-lost": lostParts,
  "no-program": () => message`Versions are deployed, but no command is given: nothing is started`,
  "bytes-changed": (entry) =>
    error`The bytes of ${code(shown(entry.artifact))} have changed under the tag ${tagOf(entry)}: not deployed`,
  "rolled-back": (entry) => {
    const text = rich`Rolled back from ${tagOf(entry)} to ${code(entry.to ?? "")}`;
    return entry.user === undefined
      ? error`${text}: ${reasonOf(entry)}`
      : success`${text}${byText(entry)}`;
  },
  // A poll is announced by what it finds.
  ordered: (entry) =>
    entry.command === "poll"
      ? undefined
      : message`${code(entry.command ?? "")} was asked for${byText(entry)}`,
  refused: (entry) => message`${code(entry.command ?? "")} was not carried out: ${reasonOf(entry)}`,
  waiting: (entry) => {
    const until = entry.until === undefined ? "" : `; until ${utcMinute(new Date(entry.until))}`;
    return message`${tagOf(entry)} is available but waits: ${reasonOf(entry)}${until}`;
  },
  rollout: (entry) => {
    const { change } = entry;
    if (change === "halted" || change === "aborted") return error`${capitalized(entry)}`;
    return change === "done" ? success`${capitalized(entry)}` : message`${capitalized(entry)}`;
  },
  "listing-stale": (entry) => error`The registry may be frozen: ${reasonOf(entry)}`,
  driver: (entry) => message`${shown(entry.scheme)}: ${reasonOf(entry)}`,
  superseded: (entry) =>
    message`${tagOf(entry)} was superseded by ${code(entry.by ?? "")} before it counted as deployed`,
  "signer-trusted": (entry) =>
    message`From ${tagOf(entry)} on, versions must be signed by ${code(shown(entry.signer))}${acceptedText(entry)}`,
  failed: (entry) =>
    entry.code === "unverified"
      ? error`${tagOf(entry)} was not deployed, because it is not verified: ${withoutTag(reasonOf(entry), entry.tag)}${nextTry(entry.retryInMs)}`
      : error`Error occurred (count: ${shown(entry.count)}): ${reasonOf(entry)}${nextTry(entry.retryInMs)}`,
  uncaught: (entry) =>
    error`Unexpected error, this is a bug in dewy; it keeps running: ${reasonOf(entry)}`,
  "notifications-lost": (entry) =>
    error`Notifications for ${code(shown(entry.notifier))} were given up (${shown(entry.count)}): ${reasonOf(entry)}`,
};

function tagOf({ tag = "" }: JournalEntry): Span {
  return code(tag);
}

function reasonOf({ reason = "" }: JournalEntry): string {
  return reason;
}

function capitalized(entry: JournalEntry): string {
  const reason = reasonOf(entry);
  return `${reason.charAt(0).toUpperCase()}${reason.slice(1)}`;
}

function acceptedText(entry: JournalEntry): string {
  return entry.user === undefined ? "" : `; accepted${byText(entry)}`;
}

/** A field that the schema does not know may have any type. */
function shown(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/** ` by alice: "checkout fails"`, if an operator asked for it. */
function byText({ user, message }: JournalEntry): string {
  return user === undefined ? "" : ` by ${operatorText({ user, message })}`;
}

/** A worker that finished normally is not an error. */
function exitParts(entry: JournalEntry): Parts {
  const { exitCode, signal, retryInMs } = entry;
  if (exitCode === 0 && retryInMs === undefined) return message`${tagOf(entry)} finished`;
  const end =
    exitCode === undefined
      ? `was ended by ${signal ?? "a signal"}`
      : `exited with exit code ${exitCode}`;
  const next = retryInMs === undefined ? "" : `, starts again in ${formatDuration(retryInMs)}`;
  return error`${tagOf(entry)} ${end}${next}${lastOf(entry)}`;
}

function adoptedParts({ containers, tags }: JournalEntry): Parts {
  const count = Array.isArray(containers) ? containers.length : 0;
  const names = Array.isArray(tags) ? tags.map(String) : [];
  const versions = names.flatMap((tag, index) => [index === 0 ? "" : ", ", code(tag)]);
  const many = count === 1 ? "container" : "containers";
  return message`Found ${count} ${many} of ${versions} still running from an earlier start of dewy`;
}

function lostParts(entry: JournalEntry): Parts {
  const { container, retryInMs } = entry;
  const next = retryInMs === undefined ? "" : `, replaced in ${formatDuration(retryInMs)}`;
  return error`Container ${code(shown(container))} of ${tagOf(entry)} is lost: ${reasonOf(entry)}${next}${lastOf(entry)}`;
}

function lastOf({ lastLines = [] }: JournalEntry): Span {
  return lastLines.length === 0 ? "" : { lines: lastLines };
}

function nextTry(inMs: number | undefined): string {
  if (inMs === undefined) return "";
  return ` (next try in ${formatDuration(Math.ceil(inMs / 1_000) * 1_000)})`;
}

function hookParts(entry: JournalEntry): Parts | undefined {
  const hook = hookOf(entry);
  if (hook === undefined) return undefined;
  const passed = hook.exitCode === 0;
  const end = hook.timedOut ? "timed out" : `exit: ${hook.exitCode ?? "signal"}`;
  return {
    kind: passed ? "hook-passed" : "hook-failed",
    text: rich`${passed ? "✓" : "✗"} ${hookTitle(hook)}: ${hook.command} (${end})`,
  };
}
