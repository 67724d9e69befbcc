/**
 * What happens, as data. Logs, notifications, the progress line and later metrics are subscribers;
 * the code that does the work knows none of them.
 *
 * @module
 */
import type { DeployPhase, DewyError } from "./error.ts";

/** How a hook ended. */
export interface HookResult {
  /** Which of the two hooks. */
  when: "before" | "after";
  /** The shell command as configured. */
  command: string;
  /** The exit code; `null` when a signal or the timeout ended it. */
  exitCode: number | null;
  /** Standard output, trimmed, at most the last 64 KiB. */
  stdout: string;
  /** Standard error, trimmed, at most the last 64 KiB. */
  stderr: string;
  /** How long it ran, in milliseconds. */
  durationMs: number;
  /** Whether it was ended because it ran too long. */
  timedOut: boolean;
}

/** Everything dewy tells its subscribers. */
export type DewyEvent =
  | { type: "started"; version: string; command: string; registry: string; directory: string }
  | { type: "stopping"; signal: string }
  | {
      type: "request";
      method: string;
      url: string;
      status: number | undefined;
      durationMs: number;
      attempt: number;
      fromCache?: boolean;
    }
  | { type: "retry"; method: string; url: string; reason: string; delayMs: number; attempt: number }
  | { type: "anonymous"; host: string }
  | {
      type: "credentials";
      host: string;
      /** Where they came from: `DOCKER_USERNAME`, a path. */
      source: string;
      outcome: "used" | "refused" | "unusable";
      /** Why, when they are not used. */
      reason: string;
    }
  | { type: "rate-limit"; host: string; remaining: number; limit: number; resetAt: Date }
  | { type: "poll-spaced"; registry: string; nextAt: Date; reason: string }
  | { type: "resolved"; tag: string; artifact: string; url: string }
  /** A choice among the files of a release that an operator should know about. */
  | { type: "artifact-chosen"; tag: string; artifact: string; notes: readonly string[] }
  | { type: "unchanged"; tag: string }
  | { type: "up-to-date"; tag: string }
  | { type: "pending"; tag: string; since?: Date }
  | { type: "nothing"; reason: string; message: string }
  | { type: "held"; tag: string; running: string; reason: string }
  | {
      /** The bytes of a tag differ from those staged under it before; they are not deployed. */
      type: "bytes-changed";
      tag: string;
      artifact: string;
      /** `--accept-changed` names the tag, but has accepted other bytes already. */
      acceptedBefore?: true;
    }
  | { type: "known-bad"; tag: string; reason: string }
  | { type: "phase"; phase: DeployPhase; tag: string; durationMs: number }
  | { type: "download-progress"; tag: string; artifact: string; received: number; total?: number }
  | {
      type: "downloaded";
      tag: string;
      artifact: string;
      bytes: number;
      resumedFrom: number;
      durationMs: number;
    }
  /** Downloaded, but the registry states no digest to check the bytes against. */
  | { type: "unverified"; tag: string; artifact: string }
  | {
      type: "extracted";
      tag: string;
      directory: string;
      entries: number;
      bytes: number;
      durationMs: number;
    }
  | { type: "hook"; tag: string; result: HookResult }
  | { type: "activated"; tag: string; directory: string }
  | {
      type: "deployed";
      command: string;
      tag: string;
      previousTag: string | undefined;
      directory: string;
      durationMs: number;
    }
  | { type: "rolled-back"; tag: string; to: string; reason: string }
  /** A newer version has taken over before the bake of this one ended: it counts neither as good nor as bad. */
  | { type: "superseded"; tag: string; by: string }
  | { type: "recovered"; tag: string | undefined; action: string }
  | {
      type: "failed";
      phase: DeployPhase;
      tag: string | undefined;
      error: DewyError;
      count: number;
      /** Milliseconds until it is tried again; `undefined`: it is not. */
      retryInMs: number | undefined;
      /** The same was told in the last hour. */
      isRepeated?: boolean;
    }
  | {
      type: "server-started";
      tag: string;
      /** Whether it took the place of a generation that ran before. */
      restarted: boolean;
      /** Whether it got a listening socket, or stands behind the proxy. */
      withPort: boolean;
      generation: number;
      pid: number;
    }
  | { type: "generation-ready"; tag: string; generation: number; pid: number; durationMs: number }
  | { type: "draining"; generation: number | undefined; pid: number; drainMs: number }
  | {
      type: "drained";
      generation: number | undefined;
      pid: number;
      durationMs: number;
      killed: boolean;
    }
  | {
      /** Processes that had left the process group of their generation were ended with it. */
      type: "background-ended";
      generation: number | undefined;
      pids: readonly number[];
      programs: readonly string[];
    }
  | {
      type: "app-exited";
      tag: string;
      generation: number;
      pid: number;
      /** The exit code; `null` when a signal ended it. */
      code: number | null;
      /** The signal that ended it. */
      signal: string | null;
      /** What it wrote last, oldest first. */
      lastLines: readonly string[];
      /** What else may explain it. */
      hints?: readonly string[];
      /** Milliseconds until it is started again; `undefined`: it is not. */
      restartInMs: number | undefined;
    }
  /** A generation that was started anew has ended at once; the one before it serves on. */
  | { type: "resumed"; tag: string; generation: number; pid: number; reason: string }
  | {
      /** The app or its containers could not be started. */
      type: "start-failed";
      tag: string;
      reason: string;
      /** Milliseconds until the next try. */
      retryInMs: number;
    }
  | { type: "crash-loop"; tag: string; crashes: number; action: string }
  | { type: "adopted"; pid: number; tag: string }
  | { type: "image-pulling"; tag: string; artifact: string }
  | {
      type: "image-pulled";
      tag: string;
      /** The image by digest. */
      image: string;
      durationMs: number;
    }
  | {
      type: "replica-ready";
      tag: string;
      container: string;
      /** Where it is reached, such as `127.0.0.1:32768`. */
      address: string;
      durationMs: number;
    }
  | {
      type: "replica-retired";
      tag: string;
      container: string;
      /** Its connections that had not ended in time. */
      cut: number;
      durationMs: number;
    }
  | {
      /** A replica that served has ended or turned unhealthy. */
      type: "replica-lost";
      tag: string;
      container: string;
      reason: string;
      /** What it wrote last, oldest first. */
      lastLines: readonly string[];
      /** Milliseconds until it is replaced; `undefined`: it is not. */
      replaceInMs: number | undefined;
    }
  | {
      /** A new version has taken over, and is watched before it counts as deployed. */
      type: "containers-serving";
      tag: string;
      /** How long it is watched, in milliseconds. */
      bakeMs: number;
    }
  | {
      type: "containers-deployed";
      tag: string;
      /** How many replicas serve. */
      ready: number;
      replicas: number;
    }
  | {
      /** Dewy ends: connections have their time, then the containers are stopped, unless they are kept. */
      type: "containers-ending";
      containers: readonly string[];
      keep: boolean;
      /** How long connections have, in milliseconds. */
      drainMs: number;
    }
  | { type: "containers-adopted"; containers: readonly string[]; tags: readonly string[] }
  | { type: "images-removed"; images: readonly string[] }
  | { type: "app-restart"; signal: string }
  | { type: "no-program" }
  | { type: "directory-of-program"; directory: string; program: string }
  | { type: "succeeded-again"; after: number }
  | { type: "reported"; tag: string }
  | { type: "pruned"; directories: readonly string[] }
  | { type: "listening"; url: string; protocols: string }
  | { type: "upstream-polled"; platform: string; durationMs: number }
  | {
      type: "upstream-failed";
      error: DewyError;
      count: number;
      /** How old the answers are that are served meanwhile; `undefined` when there are none. */
      servedMs: number | undefined;
      retryInMs: number;
    }
  | {
      type: "version-asked";
      platform: string;
      tag: string | undefined;
      address: string | undefined;
      /** The answer is from before the upstream registry failed. */
      isStale: boolean;
    }
  | {
      type: "deploy-reported";
      tag: string;
      command: string;
      host: string;
      error: string | undefined;
    }
  | {
      type: "artifact-sent";
      tag: string;
      artifact: string;
      bytes: number;
      isComplete: boolean;
      durationMs: number;
    }
  | {
      /** Nothing caught this error, and an agent that serves keeps running. */
      type: "uncaught";
      /** Its name and message, without secrets. */
      error: string;
      /** How often it has occurred. */
      count: number;
    }
  | { type: "uncaught-stack"; stack: string }
  | {
      type: "warning";
      message: string;
      fields?: Readonly<Record<string, string | number | boolean>>;
      /** The operator must see it even where only errors are logged. */
      important?: boolean;
    };

/** A function that is told of every event. It must not throw and must not block. */
export type EventSink = (event: DewyEvent) => void;

/**
 * Hands every event to several sinks; one that throws does not keep the others from hearing it.
 *
 * @param sinks the subscribers, told in this order.
 * @returns a sink.
 */
export function fanOut(sinks: readonly EventSink[]): EventSink {
  return (event) => {
    for (const sink of sinks) {
      try {
        sink(event);
      } catch {
        // A subscriber that fails must not stop a deploy; it has no way of its own to say so.
      }
    }
  };
}

/** Conditions that last: they are true at every poll, but news only once. */
const STANDING: ReadonlySet<DewyEvent["type"]> = new Set([
  "held",
  "known-bad",
  "bytes-changed",
  "nothing",
  "artifact-chosen",
]);

/**
 * Lets events about a lasting condition through only when it is new, or new again after a deploy.
 *
 * @param sink hears the rest.
 * @returns a sink.
 */
export function onlyNews(sink: EventSink): EventSink {
  let told = new Set<string>();
  return (event) => {
    if (event.type === "deployed") told = new Set();
    if (STANDING.has(event.type)) {
      const text = JSON.stringify(event);
      if (told.has(text)) return;
      told.add(text);
    }
    sink(event);
  };
}
