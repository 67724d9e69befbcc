/**
 * Events as data. Logs, notifications and the progress line subscribe to them; the code that emits them knows no
 * subscriber.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { DeployPhase, DewyError } from "./error.ts";
import type { Operator } from "./operator.ts";
import type { Proof, SignerIdentity } from "./proof.ts";

/** The result of a hook. */
export interface HookResult {
  /** Whether it ran before or after the deploy. */
  when: "before" | "after";
  /** The shell command as configured. */
  command: string;
  /** The exit code; `null` after a signal or a timeout. */
  exitCode: number | null;
  /** Standard output, trimmed, at most the last 64 KiB. */
  stdout: string;
  /** Standard error, trimmed, at most the last 64 KiB. */
  stderr: string;
  /** Duration in milliseconds. */
  durationMs: number;
  /** Whether the timeout killed it. */
  timedOut: boolean;
}

/** Why an available version is not deployed. */
export type WaitReason =
  | "pinned"
  | "paused"
  | "skipped"
  | "window"
  | "min-age"
  | "no-downgrade"
  | "major"
  | "fleet";

/** What has changed about the rollout of a fleet. */
export type RolloutChange = "began" | "wave" | "halted" | "resumed" | "aborted" | "done";

/** Why a generation was started: `start` if it is the first of this dewy process, otherwise the app was restarted. */
export type StartReason = "start" | "deploy" | "rollback" | "signal" | "operator" | "crash";

/** All events, seen apart by `type`. */
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
      isNotification?: true;
    }
  | {
      type: "retry";
      method: string;
      url: string;
      reason: string;
      delayMs: number;
      attempt: number;
      isNotification?: true;
    }
  | { type: "anonymous"; host: string }
  | {
      type: "credentials";
      host: string;
      /** The source: `DOCKER_USERNAME`, a path, … */
      source: string;
      outcome: "used" | "refused" | "unusable";
      /** The reason, if they were not used. */
      reason: string;
    }
  | {
      /** What a response says about the limit of the API. */
      type: "rate-limit";
      host: string;
      remaining: number;
      limit: number;
      resetAt: Date;
      /** Neither low nor used up, or reported before: for metrics and the status only. */
      isRoutine?: true | undefined;
    }
  | {
      /** How the cache of `--cache` has helped with an answer of the registry or an artifact. */
      type: "cache";
      what: "answer" | "artifact";
      /** `miss`: fetched for all. `failed`: the cache could not be used, so this machine has fetched it for itself. */
      outcome: "hit" | "miss" | "failed";
      /** Of the artifact. */
      tag?: string;
      artifact?: string;
    }
  | { type: "poll-spaced"; registry: string; nextAt: Date; reason: string }
  | { type: "resolved"; tag: string; artifact: string; url: string }
  /** A choice of artifact that the operator should know about. */
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
      /** `--accept-changed` names the tag, but different bytes were already accepted for it. */
      acceptedBefore?: true;
    }
  | { type: "known-bad"; tag: string; reason: string }
  | { type: "phase-started"; phase: DeployPhase | "bake"; tag: string }
  | { type: "phase"; phase: DeployPhase | "bake"; tag: string; durationMs: number }
  /** The deploy has failed, or was given up, in this phase. Other events report it. */
  | {
      type: "phase-failed";
      phase: DeployPhase | "bake";
      tag: string;
      error: DewyError;
      durationMs: number;
    }
  | { type: "download-progress"; tag: string; artifact: string; received: number; total?: number }
  | {
      type: "downloaded";
      tag: string;
      artifact: string;
      bytes: number;
      resumedFrom: number;
      durationMs: number;
    }
  /** The artifact was downloaded, but the registry states no digest to verify it with. */
  | { type: "unverified"; tag: string; artifact: string }
  | {
      /** The policy of `--verify` holds for the bytes that will run. */
      type: "verified";
      tag: string;
      artifact: string;
      /** Empty if nothing could be verified, and nothing had to be. */
      proofs: readonly Proof[];
    }
  | {
      /** The signer of a release was seen for the first time, or accepted by an operator. */
      type: "signer-trusted";
      tag: string;
      identity: SignerIdentity | string;
      operator?: Operator | undefined;
    }
  /** The listing of the registry has not changed for longer than `--max-staleness`. */
  | { type: "listing-stale"; since: Date; maxMs: number }
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
      /** Set if an operator asked for it. */
      operator?: Operator | undefined;
      traceId?: string | undefined;
    }
  | {
      type: "rolled-back";
      tag: string;
      to: string;
      reason: string;
      /** Set if an operator asked for it. */
      operator?: Operator | undefined;
      traceId?: string | undefined;
    }
  | {
      /** An operator's command was accepted. */
      type: "ordered";
      /** `pin v1.2.0`, `rollback`, `poll`, … */
      command: string;
      operator: Operator;
    }
  | {
      /** An operator's command was not carried out, and no other event says why. */
      type: "refused";
      command: string;
      operator: Operator;
      reason: string;
    }
  | {
      /** A version is available but does not come by itself, or not yet. */
      type: "waiting";
      tag: string;
      why: WaitReason;
      /** The reason as a sentence without its full stop: `pinned to v1.2.0 by alice`. */
      reason: string;
      /** When the wait ends by itself; `undefined` if only an operator ends it. */
      until?: Date | undefined;
    }
  | {
      /** The rollout of a fleet has changed: emitted once per fleet, by the host whose write made the change. */
      type: "rollout";
      fleet: string;
      tag: string;
      change: RolloutChange;
      /** The wave that may take the version, from 1. */
      wave: number;
      waves: number;
      /** The hosts that may take the version now, and those of the rollout. */
      hosts: number;
      of: number;
      /** Why it was halted, or who has resumed or aborted it. */
      reason?: string | undefined;
    }
  | {
      /** A poll has ended. */
      type: "polled";
      outcome: "fine" | "waiting" | "problem" | "failed" | "unreachable";
      /** The error, for a problem, a failure or an unreachable registry. */
      error?: string | undefined;
      /** Whether a version is baking, or nothing is live yet, so that `fine` is not a success. */
      isOpen?: true | undefined;
      /** Absent with `--once`. */
      nextAt?: Date | undefined;
    }
  | {
      type: "webhook";
      source: "github" | "registry" | "secret";
      outcome: "accepted" | "ignored" | "refused";
      reason?: string | undefined;
    }
  | {
      /** Notifications that could not be delivered for too long, or that the notifier refused, were given up. */
      type: "notifications-lost";
      /** The notifier's URL without secrets. */
      notifier: string;
      count: number;
      reason: string;
    }
  | {
      /** `--dry-run`: a version was staged and would be deployed. */
      type: "would-deploy";
      tag: string;
      previousTag: string | undefined;
      directory: string;
    }
  /** A newer version took over before the bake ended, so this one counts as neither good nor bad. */
  | { type: "superseded"; tag: string; by: string }
  /** The deploy of a version was ended before its outcome was decided, because of an operator's command. */
  | { type: "given-up"; tag: string; reason: string }
  | { type: "recovered"; tag: string | undefined; action: string }
  | {
      type: "failed";
      phase: DeployPhase;
      tag: string | undefined;
      error: DewyError;
      count: number;
      /** Milliseconds until the next attempt; `undefined` if there is none. */
      retryInMs: number | undefined;
      /** Whether the same failure was reported in the last hour. */
      isRepeated?: boolean;
      traceId?: string | undefined;
    }
  | {
      type: "server-started";
      tag: string;
      /** Whether it replaced a running generation. */
      restarted: boolean;
      /** Whether it has a listening socket or runs behind the proxy. */
      withPort: boolean;
      generation: number;
      pid: number;
    }
  | {
      type: "generation-ready";
      tag: string;
      generation: number;
      pid: number;
      reason: StartReason;
      durationMs: number;
    }
  | { type: "draining"; generation: number | undefined; pid: number; drainMs: number }
  | {
      type: "drained";
      generation: number | undefined;
      pid: number;
      durationMs: number;
      killed: boolean;
    }
  | {
      /** Processes outside the process group of their generation were killed with it. */
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
      /** The exit code; `null` after a signal. */
      code: number | null;
      /** The signal that killed it. */
      signal: string | null;
      /** Its last lines of output, oldest first. */
      lastLines: readonly string[];
      /** Possible explanations. */
      hints?: readonly string[];
      /** Milliseconds until the restart; `undefined` if there is none. */
      restartInMs: number | undefined;
    }
  /** A restarted generation exited immediately; the previous one keeps serving. */
  | { type: "resumed"; tag: string; generation: number; pid: number; reason: string }
  | {
      /** The app or its containers could not be started. */
      type: "start-failed";
      tag: string;
      reason: string;
      /** Milliseconds until the next attempt. */
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
      /** Host and port, such as `127.0.0.1:32768`. */
      address: string;
      durationMs: number;
    }
  | {
      type: "replica-retired";
      tag: string;
      container: string;
      /** Connections still open after the drain time. */
      cut: number;
      durationMs: number;
    }
  | {
      /** A serving replica stopped or turned unhealthy. */
      type: "replica-lost";
      tag: string;
      container: string;
      reason: string;
      /** Its last lines of output, oldest first. */
      lastLines: readonly string[];
      /** Milliseconds until it is replaced; `undefined` if it is not. */
      replaceInMs: number | undefined;
    }
  | {
      /** A new version took over and bakes before it counts as deployed. */
      type: "containers-serving";
      tag: string;
      /** The bake time in milliseconds. */
      bakeMs: number;
    }
  | {
      type: "containers-deployed";
      tag: string;
      /** Serving replicas. */
      ready: number;
      replicas: number;
    }
  | {
      /** dewy stops: connections drain, then the containers stop, unless they are kept. */
      type: "containers-ending";
      containers: readonly string[];
      keep: boolean;
      /** The drain time in milliseconds. */
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
  | { type: "watch-ended"; reason: string; retryInMs: number }
  | {
      type: "upstream-failed";
      error: DewyError;
      count: number;
      /** Age of the answers served meanwhile; `undefined` without any. */
      servedMs: number | undefined;
      retryInMs: number;
    }
  | {
      type: "version-asked";
      platform: string;
      tag: string | undefined;
      address: string | undefined;
      /** Whether the answer predates the failure of the upstream registry. */
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
      /** An uncaught error; an agent that serves keeps running. */
      type: "uncaught";
      /** Name and message, redacted. */
      error: string;
      /** Number of occurrences. */
      count: number;
    }
  | { type: "uncaught-stack"; stack: string }
  | {
      /** An event of a registry's or notifier's own: the log and the notifiers show it without knowing the driver. */
      type: "driver";
      scheme: string;
      /** What happened, in the past tense. */
      message: string;
      fields?: Readonly<Record<string, string | number | boolean>>;
      /** Whether to send a notification. */
      notify?: boolean;
    }
  | {
      type: "warning";
      message: string;
      fields?: Readonly<Record<string, string | number | boolean>>;
      /** Whether to log it even at level `error`. */
      important?: boolean;
    };

/** Receives every event. It must not throw and must not block. */
export type EventSink = (event: DewyEvent) => void;

/** Passes every event to several sinks, even if one of them throws. */
export function fanOut(sinks: readonly EventSink[]): EventSink {
  return (event) => {
    for (const sink of sinks) {
      try {
        sink(event);
      } catch {
        // A failing subscriber must not stop a deploy.
      }
    }
  };
}

/** Conditions that hold at every poll but are reported once. */
const PERSISTENT_CONDITIONS: ReadonlySet<DewyEvent["type"]> = new Set([
  "held",
  "known-bad",
  "bytes-changed",
  "nothing",
  "artifact-chosen",
  "waiting",
  "listing-stale",
]);

const DAY_MS = 24 * 60 * 60_000;

/** Passes an event about a persistent condition on once a day, and again after a deploy. */
export function dedupe(sink: EventSink, { monotonic }: Pick<Clock, "monotonic">): EventSink {
  const passedAt = new Map<string, number>();
  return (event) => {
    if (event.type === "deployed") passedAt.clear();
    if (PERSISTENT_CONDITIONS.has(event.type)) {
      const text = JSON.stringify(event);
      const now = monotonic();
      if (now - (passedAt.get(text) ?? Number.NEGATIVE_INFINITY) <= DAY_MS) return;
      passedAt.set(text, now);
    }
    sink(event);
  };
}
