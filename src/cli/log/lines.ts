/**
 * The log line of each event: a level, a static message and fields. Messages are in the past tense for what has
 * happened, and in the present for a state or what has begun.
 *
 * @module
 */
import type { DewyEvent, HookResult, RolloutChange } from "../../core/event.ts";
import type { LogLevel } from "../flags/common.ts";
import { type Story, storyOf } from "./story.ts";

/** A duration in a log line: Go's notation in text, nanoseconds in JSON. */
export interface Duration {
  durationMs: number;
}

/** The value of a field; `undefined` leaves it out. */
export type LogValue = string | number | boolean | Date | Duration | readonly string[] | undefined;

export interface LogLine {
  level: LogLevel;
  message: string;
  /** By snake-case key. */
  fields: Readonly<Record<string, LogValue>>;
  /** For terminals. */
  story?: Story | undefined;
}

type Lines = {
  [K in DewyEvent["type"]]: (event: Extract<DewyEvent, { type: K }>) => LogLine | undefined;
};

function line(
  level: LogLevel,
  message: string,
  fields: Readonly<Record<string, LogValue>> = {},
): LogLine {
  return { level, message, fields };
}

function duration(ms: number | undefined): Duration | undefined {
  return ms === undefined ? undefined : { durationMs: ms };
}

function listed(lines: readonly string[]): readonly string[] | undefined {
  return lines.length === 0 ? undefined : lines;
}

const CREDENTIALS = {
  used: "Credentials used",
  refused: "Credentials refused",
  unusable: "Credentials unusable",
} as const;

const CACHE = {
  hit: "Taken from the cache",
  miss: "Not in the cache, fetched for all machines",
  failed: "Fetched without the cache",
} as const;

// The type makes the compiler name every event that has no line yet.
const LINES: Lines = {
  started: ({ version, command, registry, directory }) =>
    line("info", "Dewy started", { version, command, registry, directory }),
  stopping: ({ signal }) => line("info", "Dewy stopping", { signal }),
  request: ({ method, url, status, durationMs, attempt, fromCache }) =>
    line("debug", "Request finished", {
      method,
      url,
      status,
      attempt,
      from_cache: fromCache,
      duration: duration(durationMs),
    }),
  cache: ({ what, outcome, tag, artifact }) =>
    line(what === "artifact" ? "info" : "debug", CACHE[outcome], { what, tag, artifact }),
  retry: ({ method, url, reason, delayMs, attempt }) =>
    line("warn", "Request failed, retrying", {
      method,
      url,
      reason,
      attempt,
      delay: duration(delayMs),
    }),
  anonymous: ({ host }) => line("debug", "No credentials, using anonymous access", { host }),
  credentials: ({ host, source, outcome, reason }) =>
    line("debug", CREDENTIALS[outcome], {
      host,
      source,
      reason: reason === "" ? undefined : reason,
    }),
  "rate-limit": ({ host, remaining, limit, resetAt, isRoutine }) =>
    isRoutine
      ? undefined
      : line(remaining === 0 ? "warn" : "debug", "Rate limit low or used up", {
          host,
          remaining,
          limit,
          reset_at: resetAt,
        }),
  "poll-spaced": ({ registry, nextAt, reason }) =>
    line("info", "Polling slowed down", { registry, next_at: nextAt, reason }),
  resolved: ({ tag, artifact, url }) => line("debug", "Version resolved", { tag, artifact, url }),
  "artifact-chosen": ({ tag, artifact, notes }) =>
    line("info", "Artifact chosen", { tag, artifact, notes: notes.join("; ") }),
  "up-to-date": ({ tag }) => line("info", "Already up to date", { tag }),
  unchanged: ({ tag }) => line("debug", "Deploy skipped", { tag }),
  pending: ({ tag, since }) => line("debug", "Artifact not published yet, waiting", { tag, since }),
  nothing: ({ reason, message }) =>
    line(reason === "artifact-missing" ? "error" : "warn", "Nothing to deploy", {
      reason,
      detail: message,
    }),
  held: ({ tag, running, reason }) =>
    line("warn", "Newer version skipped", { tag, running, reason }),
  "bytes-changed": ({ tag, artifact, acceptedBefore }) =>
    line("error", "Artifact changed under the same tag, not deployed", {
      tag,
      artifact,
      hint: acceptedBefore
        ? `--accept-changed ${tag} has already accepted other bytes; start once without it to use it again`
        : `--accept-changed ${tag} deploys them`,
    }),
  "known-bad": ({ tag, reason }) =>
    line("error", "Bad version skipped", {
      tag,
      reason,
      hint: `dewy deploy ${tag} tries it again`,
    }),
  // The end has the line.
  "phase-started": () => undefined,
  "phase-failed": () => undefined,
  phase: ({ phase, tag, durationMs }) =>
    line("debug", "Phase finished", { phase, tag, duration: duration(durationMs) }),
  "download-progress": () => undefined,
  downloaded: ({ tag, artifact, bytes, resumedFrom, durationMs }) =>
    line("info", "Artifact downloaded", {
      tag,
      artifact,
      bytes,
      resumed_from: resumedFrom === 0 ? undefined : resumedFrom,
      duration: duration(durationMs),
    }),
  unverified: ({ tag, artifact }) =>
    line("info", "Artifact not verified, the registry has no checksum", { tag, artifact }),
  verified: ({ tag, artifact, proofs }) =>
    line("info", "Artifact verified", {
      tag,
      artifact,
      by: proofs.map(({ kind }) => kind).join(", "),
    }),
  "signer-trusted": ({ tag, identity }) =>
    line("info", "Signer trusted from now on", {
      tag,
      signer: typeof identity === "string" ? identity : identity.subject,
    }),
  "listing-stale": ({ since, maxMs }) =>
    line("warn", "Listing of the registry unchanged for too long, it may be frozen", {
      since: since.toISOString(),
      max_staleness: duration(maxMs),
    }),
  extracted: ({ tag, directory, entries, bytes, durationMs }) =>
    line("info", "Archive extracted", {
      tag,
      directory,
      entries,
      bytes,
      duration: duration(durationMs),
    }),
  hook: ({ tag, result }) => hookLine(tag, result),
  activated: ({ tag, directory }) => line("info", "Symlink created", { tag, directory }),
  deployed: ({ command, tag, previousTag, directory, durationMs, operator, traceId }) =>
    line("info", "Deployed", {
      command,
      tag,
      previous_tag: previousTag,
      directory,
      duration: duration(durationMs),
      ...operator,
      trace_id: traceId,
    }),
  ordered: ({ command, operator }) => line("info", "Command accepted", { command, ...operator }),
  refused: ({ command, operator, reason }) =>
    line("warn", "Command not carried out", { command, ...operator, reason }),
  waiting: ({ tag, reason, until }) => line("info", "Version waits", { tag, reason, until }),
  rollout: ({ fleet, tag, change, wave, waves, hosts, of, reason }) =>
    line(change === "halted" || change === "aborted" ? "error" : "info", ROLLOUT_MESSAGES[change], {
      fleet,
      tag,
      wave,
      waves,
      hosts,
      of,
      reason,
    }),
  polled: ({ outcome, error, nextAt }) =>
    line("debug", "Poll finished", { outcome, error, next_at: nextAt }),
  webhook: ({ source, outcome, reason }) =>
    line(outcome === "refused" ? "warn" : "info", "Webhook received", { source, outcome, reason }),
  "would-deploy": ({ tag, previousTag, directory }) =>
    line("info", "Dry run: version would be deployed", {
      tag,
      previous_tag: previousTag,
      directory,
    }),
  "given-up": ({ tag, reason }) => line("info", "Deploy given up", { tag, reason }),
  superseded: ({ tag, by }) => line("info", "Version superseded", { tag, by }),
  "rolled-back": ({ tag, to, reason, operator, traceId }) =>
    line(operator === undefined ? "error" : "info", "Rolled back", {
      tag,
      to,
      reason,
      ...operator,
      trace_id: traceId,
    }),
  recovered: ({ tag, action }) => line("warn", "Recovered from an interruption", { tag, action }),
  failed: ({ phase, tag, error, count, retryInMs, isRepeated, traceId }) =>
    line(isRepeated ? "debug" : "error", tag === undefined ? "Poll failed" : "Deploy failed", {
      phase,
      tag,
      error: error.message,
      code: error.code,
      count,
      retry_in: duration(retryInMs),
      trace_id: traceId,
    }),
  "server-started": ({ tag, restarted, withPort, generation, pid }) =>
    line("info", restarted ? "Server restarted" : "Server started", {
      tag,
      with_port: withPort,
      generation,
      pid,
    }),
  "generation-ready": ({ tag, generation, pid, durationMs }) =>
    line("info", "App ready", { tag, generation, pid, duration: duration(durationMs) }),
  draining: ({ generation, pid, drainMs }) =>
    line("info", "App draining", { generation, pid, at_most: duration(drainMs) }),
  drained: ({ generation, pid, durationMs, killed }) =>
    line(killed ? "warn" : "info", killed ? "App killed after the drain time" : "App drained", {
      generation,
      pid,
      duration: duration(durationMs),
    }),
  "background-ended": ({ generation, pids, programs }) =>
    line("warn", "Background processes of the app stopped", {
      generation,
      pids: pids.map(String),
      programs,
      hint: "they received the signal only after the main process had exited; let the main process stop them",
    }),
  "app-exited": (event) => exitLine(event),
  resumed: ({ tag, generation, pid, reason }) =>
    line("error", "Restarted app failed, the previous one keeps serving", {
      tag,
      generation,
      pid,
      reason,
    }),
  "start-failed": ({ tag, reason, retryInMs }) =>
    line("error", "App failed to start", { tag, error: reason, retry_in: duration(retryInMs) }),
  "crash-loop": ({ tag, crashes, action }) =>
    line("error", "App keeps crashing", { tag, crashes, action }),
  adopted: ({ pid, tag }) => line("warn", "App from a previous run found", { pid, tag }),
  "image-pulling": ({ tag, artifact }) => line("info", "Pulling image", { tag, artifact }),
  "image-pulled": ({ tag, image, durationMs }) =>
    line("info", "Image pulled", { tag, image, duration: duration(durationMs) }),
  "replica-ready": ({ tag, container, address, durationMs }) =>
    line("info", "Container ready", { tag, container, address, duration: duration(durationMs) }),
  "replica-retired": ({ tag, container, cut, durationMs }) =>
    line(cut === 0 ? "info" : "warn", "Container removed", {
      tag,
      container,
      cut_connections: cut === 0 ? undefined : cut,
      duration: duration(durationMs),
    }),
  "replica-lost": ({ tag, container, reason, lastLines, replaceInMs }) =>
    line("error", "Container lost", {
      tag,
      container,
      reason,
      replace_in: duration(replaceInMs),
      last_lines: listed(lastLines),
    }),
  "containers-serving": ({ tag, bakeMs }) =>
    line("info", "New containers serving", { tag, bake: duration(bakeMs) }),
  "containers-deployed": ({ tag, ready, replicas }) =>
    line("info", "Containers deployed", { tag, ready, replicas }),
  "containers-ending": ({ containers, keep, drainMs }) =>
    line("info", keep ? "Connections draining, containers keep running" : "Connections draining", {
      containers,
      at_most: duration(drainMs),
    }),
  "containers-adopted": ({ containers, tags }) =>
    line("info", "Containers from a previous run found", { containers, tags }),
  "images-removed": ({ images }) => line("info", "Old images removed", { removed: images }),
  "app-restart": ({ signal }) => line("info", "App restarting", { signal }),
  "directory-of-program": ({ directory, program }) =>
    line("info", "Working directory taken from the command", { directory, program }),
  "no-program": () => line("warn", "No command after --: dewy deploys versions but starts nothing"),
  "notifications-lost": ({ notifier, count, reason }) =>
    line("error", "Notifications given up", { notifier, count, reason }),
  "succeeded-again": ({ after }) => line("info", "Poll succeeded again", { failures: after }),
  reported: ({ tag }) => line("debug", "Deploy result reported", { tag }),
  pruned: ({ directories }) => line("info", "Old releases removed", { removed: directories }),
  listening: ({ url, protocols }) => line("info", "Listening", { url, protocols }),
  "upstream-polled": ({ platform, durationMs }) =>
    line("debug", "Upstream polled", { platform, duration: duration(durationMs) }),
  "watch-ended": ({ reason, retryInMs }) =>
    line("debug", "Watch ended, polling meanwhile", { reason, retry: duration(retryInMs) }),
  "upstream-failed": ({ error, count, servedMs, retryInMs }) =>
    line(
      "error",
      servedMs === undefined ? "Upstream failed" : "Upstream failed, serving old answers",
      {
        error: error.message,
        code: error.code,
        count,
        age: duration(servedMs),
        retry_in: duration(retryInMs),
      },
    ),
  "version-asked": ({ platform, tag, address, isStale }) =>
    line("debug", "Version requested", {
      platform,
      tag,
      address,
      stale: isStale ? true : undefined,
    }),
  "deploy-reported": ({ tag, command, host, error }) =>
    line(error === undefined ? "info" : "warn", "Deploy reported", { tag, command, host, error }),
  "artifact-sent": ({ tag, artifact, bytes, isComplete, durationMs }) =>
    line("info", "Artifact sent", {
      tag,
      artifact,
      bytes,
      complete: isComplete,
      duration: duration(durationMs),
    }),
  uncaught: ({ error, count }) =>
    line("error", "Unexpected error, a bug in dewy; it keeps running", { error, count }),
  "uncaught-stack": ({ stack }) => line("debug", "Stack of the unexpected error", { stack }),
  driver: ({ scheme, message, fields }) => line("info", message, { scheme, ...fields }),
  warning: ({ message, fields, important }) =>
    line(important ? "error" : "warn", message, fields ?? {}),
};

function hookLine(tag: string, result: HookResult): LogLine {
  const failed = result.exitCode !== 0;
  return line(failed ? "error" : "info", failed ? "Hook failed" : "Hook succeeded", {
    when: result.when,
    tag,
    command: result.command,
    stdout: result.stdout,
    stderr: result.stderr,
    exit_code: result.exitCode ?? undefined,
    timed_out: result.timedOut ? true : undefined,
    duration: duration(result.durationMs),
  });
}

/** A worker may finish with exit code 0; any other exit is an error. */
function exitLine(event: Extract<DewyEvent, { type: "app-exited" }>): LogLine {
  const { tag, generation, pid, code, signal, lastLines, hints = [], restartInMs } = event;
  const finished = code === 0 && restartInMs === undefined;
  const level = finished && hints.length === 0 ? "info" : "error";
  return line(level, finished ? "App finished" : "App exited", {
    tag,
    generation,
    pid,
    exit_code: code ?? undefined,
    signal: signal ?? undefined,
    restart_in: duration(restartInMs),
    last_lines: listed(lastLines),
    hint: hints.length === 0 ? undefined : hints.join("; "),
  });
}

/** Returns `undefined` for events that are not logged. */
export function logLineOf(event: DewyEvent): LogLine | undefined {
  const write = LINES[event.type] as (event: DewyEvent) => LogLine | undefined;
  const found = write(event);
  return found && { ...found, story: storyOf(event) };
}

const ROLLOUT_MESSAGES: Readonly<Record<RolloutChange, string>> = {
  began: "Rollout began",
  wave: "Next wave of the rollout began",
  halted: "Rollout halted",
  resumed: "Rollout resumed",
  aborted: "Rollout aborted",
  done: "Rollout done",
};
