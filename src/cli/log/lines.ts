/**
 * What the log says of each event: a level, a text that never changes, and fields.
 *
 * @module
 */
import type { DewyEvent, HookResult } from "../../core/event.ts";
import type { LogLevel } from "../flags/common.ts";

/** A duration in a log line: Go's notation in text, nanoseconds in JSON. */
export interface Duration {
  /** Milliseconds. */
  durationMs: number;
}

/** The value of a field; `undefined` leaves it out. */
export type LogValue = string | number | boolean | Date | Duration | readonly string[] | undefined;

/** A line before it is written. */
export interface LogLine {
  /** How important it is. */
  level: LogLevel;
  /** The static text. */
  message: string;
  /** What differs, by snake-case key. */
  fields: Readonly<Record<string, LogValue>>;
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

/** No lines, no field. */
function listed(lines: readonly string[]): readonly string[] | undefined {
  return lines.length === 0 ? undefined : lines;
}

// The type makes the compiler name every event that has no line yet.
const LINES: Lines = {
  started: ({ version, command, registry, directory }) =>
    line("info", "Dewy started", { version, command, registry, directory }),
  stopping: ({ signal }) => line("info", "Dewy stopping", { signal }),
  request: ({ method, url, status, durationMs, attempt, fromCache }) =>
    line("debug", "Request", {
      method,
      url,
      status,
      attempt,
      from_cache: fromCache,
      duration: duration(durationMs),
    }),
  retry: ({ method, url, reason, delayMs, attempt }) =>
    line("warn", "Request retried", { method, url, reason, attempt, delay: duration(delayMs) }),
  anonymous: ({ host }) => line("debug", "No credentials, asking anonymously", { host }),
  credentials: ({ host, source, outcome, reason }) =>
    line("debug", `Credentials ${outcome}`, {
      host,
      source,
      reason: reason === "" ? undefined : reason,
    }),
  "rate-limit": ({ host, remaining, limit, resetAt }) =>
    line(remaining === 0 ? "warn" : "debug", "Rate limit", {
      host,
      remaining,
      limit,
      reset_at: resetAt,
    }),
  "poll-spaced": ({ registry, nextAt, reason }) =>
    line("info", "Polls spaced", { registry, next_at: nextAt, reason }),
  resolved: ({ tag, artifact, url }) => line("debug", "Version resolved", { tag, artifact, url }),
  "artifact-chosen": ({ tag, artifact, notes }) =>
    line("info", "Artifact chosen", { tag, artifact, notes: notes.join("; ") }),
  "up-to-date": ({ tag }) => line("info", "Nothing to deploy", { tag }),
  unchanged: ({ tag }) => line("debug", "Deploy skipped", { tag }),
  pending: ({ tag, since }) =>
    line("debug", "Artifact not found within grace period", { tag, since }),
  nothing: ({ reason, message }) =>
    line(reason === "artifact-missing" ? "error" : "warn", "Nothing to deploy", {
      reason,
      detail: message,
    }),
  held: ({ tag, running, reason }) => line("warn", "Version held", { tag, running, reason }),
  "bytes-changed": ({ tag, artifact, acceptedBefore }) =>
    line("error", "Artifact bytes changed under the same tag, not deployed", {
      tag,
      artifact,
      hint: acceptedBefore
        ? `--accept-changed ${tag} has accepted other bytes; start once without it to use it again`
        : `--accept-changed ${tag} deploys them`,
    }),
  "known-bad": ({ tag, reason }) =>
    line("error", "Version known to be bad, not tried again without --retry-bad", { tag, reason }),
  phase: ({ phase, tag, durationMs }) =>
    line("debug", "Phase done", { phase, tag, duration: duration(durationMs) }),
  "download-progress": () => undefined,
  downloaded: ({ tag, artifact, bytes, resumedFrom, durationMs }) =>
    line("info", "Downloaded artifact", {
      tag,
      artifact,
      bytes,
      resumed_from: resumedFrom === 0 ? undefined : resumedFrom,
      duration: duration(durationMs),
    }),
  unverified: ({ tag, artifact }) =>
    line("info", "No checksum in the registry; the artifact was not verified", { tag, artifact }),
  extracted: ({ tag, directory, entries, bytes, durationMs }) =>
    line("info", "Extract archive", {
      tag,
      directory,
      entries,
      bytes,
      duration: duration(durationMs),
    }),
  hook: ({ tag, result }) => hookLine(tag, result),
  activated: ({ tag, directory }) => line("info", "Create symlink", { tag, directory }),
  deployed: ({ command, tag, previousTag, directory, durationMs }) =>
    line("info", "Deployed", {
      command,
      tag,
      previous_tag: previousTag,
      directory,
      duration: duration(durationMs),
    }),
  superseded: ({ tag, by }) => line("info", "Version superseded", { tag, by }),
  "rolled-back": ({ tag, to, reason }) => line("error", "Rolled back", { tag, to, reason }),
  recovered: ({ tag, action }) => line("warn", "Recovered from an interruption", { tag, action }),
  failed: ({ phase, tag, error, count, retryInMs, isRepeated }) =>
    line(isRepeated ? "debug" : "error", "Deploy failure", {
      phase,
      tag,
      error: error.message,
      code: error.code,
      count,
      retry_in: duration(retryInMs),
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
    line("warn", "Ended processes that the app had left in the background", {
      generation,
      pids: pids.map(String),
      programs,
      hint: "they got the signal only after the main process had exited; let that one end them",
    }),
  "app-exited": (event) => exitLine(event),
  resumed: ({ tag, generation, pid, reason }) =>
    line("error", "App started anew has failed, the one before serves on", {
      tag,
      generation,
      pid,
      reason,
    }),
  "start-failed": ({ tag, reason, retryInMs }) =>
    line("error", "Cannot start the app", { tag, error: reason, retry_in: duration(retryInMs) }),
  "crash-loop": ({ tag, crashes, action }) =>
    line("error", "App keeps crashing", { tag, crashes, action }),
  adopted: ({ pid, tag }) => line("warn", "App of an earlier dewy found", { pid, tag }),
  "image-pulling": ({ tag, artifact }) => line("info", "Pulling image", { tag, artifact }),
  "image-pulled": ({ tag, image, durationMs }) =>
    line("info", "Pulled image", { tag, image, duration: duration(durationMs) }),
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
    line("info", "Containers serve, on probation", { tag, probation: duration(bakeMs) }),
  "containers-deployed": ({ tag, ready, replicas }) =>
    line("info", "Containers deployed", { tag, ready, replicas }),
  "containers-ending": ({ containers, keep, drainMs }) =>
    line(
      "info",
      keep ? "Connections drain, containers stay" : "Connections drain, containers stop",
      {
        containers,
        at_most: duration(drainMs),
      },
    ),
  "containers-adopted": ({ containers, tags }) =>
    line("info", "Containers of an earlier dewy found", { containers, tags }),
  "images-removed": ({ images }) => line("info", "Keep images", { removed: images }),
  "app-restart": ({ signal }) => line("info", "Restarting the app", { signal }),
  "directory-of-program": ({ directory, program }) =>
    line("info", "Working directory taken from the command", { directory, program }),
  "no-program": () =>
    line("warn", "No command after --: versions are deployed, but nothing is started"),
  "succeeded-again": ({ after }) => line("info", "Poll succeeded again", { failures: after }),
  reported: ({ tag }) => line("debug", "Report shipping", { tag }),
  pruned: ({ directories }) => line("info", "Keep releases", { removed: directories }),
  listening: ({ url, protocols }) => line("info", "Listening", { url, protocols }),
  "upstream-polled": ({ platform, durationMs }) =>
    line("debug", "Upstream polled", { platform, duration: duration(durationMs) }),
  "upstream-failed": ({ error, count, servedMs, retryInMs }) =>
    line("error", servedMs === undefined ? "Upstream failed" : "Upstream failed, answers are old", {
      error: error.message,
      code: error.code,
      count,
      age: duration(servedMs),
      retry_in: duration(retryInMs),
    }),
  "version-asked": ({ platform, tag, address, isStale }) =>
    line("debug", "Version asked", { platform, tag, address, stale: isStale ? true : undefined }),
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
    line("error", "Unexpected error, this is a bug in dewy; it keeps running", { error, count }),
  "uncaught-stack": ({ stack }) => line("debug", "Stack of the unexpected error", { stack }),
  warning: ({ message, fields, important }) =>
    line(important ? "error" : "warn", message, fields ?? {}),
};

function hookLine(tag: string, result: HookResult): LogLine {
  const failed = result.exitCode !== 0;
  return line(failed ? "error" : "info", failed ? "Execute hook failed" : "Execute hook", {
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

/** A worker that ends with exit code 0 and may do so has finished; every other end is an error. */
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

/**
 * Looks up what the log says of an event.
 *
 * @param event the event.
 * @returns the line; `undefined` for events that are not logged.
 */
export function logLineOf(event: DewyEvent): LogLine | undefined {
  const write = LINES[event.type] as (event: DewyEvent) => LogLine | undefined;
  return write(event);
}
