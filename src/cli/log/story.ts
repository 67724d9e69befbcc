/**
 * The text of an event at a terminal, instead of the static message and its fields.
 *
 * @module
 */
import { formatBytes } from "../../core/bytes.ts";
import type { DewyEvent } from "../../core/event.ts";
import { type Operator, operatorText } from "../../core/operator.ts";
import { rolloutText, utcMinute } from "../../core/text.ts";

export interface Story {
  text: string;
  /** Output of a program, below the text. */
  output?: readonly string[];
  isSuccess: boolean;
}

type Stories = {
  [K in DewyEvent["type"]]?: (
    event: Extract<DewyEvent, { type: K }>,
  ) => string | Omit<Story, "isSuccess">;
};

const SUCCESSES: ReadonlySet<DewyEvent["type"]> = new Set([
  "deployed",
  "containers-deployed",
  "up-to-date",
  "succeeded-again",
]);

const STORIES: Stories = {
  started: ({ version, command, registry, directory }) =>
    `dewy ${version} ${command} started: ${registry} → ${directory}`,
  stopping: ({ signal }) => `stopping (${signal})`,
  "up-to-date": ({ tag }) => `${tag} is up to date`,
  downloaded: ({ artifact, bytes, resumedFrom, durationMs }) =>
    `${artifact} downloaded (${formatBytes(bytes)}${resumedFrom === 0 ? "" : `, resumed at ${formatBytes(resumedFrom)}`}, ${humanDuration(durationMs)})`,
  unverified: ({ artifact }) => `${artifact} not verified: the registry has no checksum`,
  verified: ({ artifact, proofs }) =>
    `${artifact} verified (${[...new Set(proofs.map(({ kind }) => kind))].join(", ")})`,
  "signer-trusted": ({ identity }) =>
    `later versions must be signed by ${typeof identity === "string" ? identity : identity.subject}`,
  extracted: ({ entries, bytes, durationMs }) =>
    `archive extracted (${counted(entries, "entry", "entries")}, ${formatBytes(bytes)}, ${humanDuration(durationMs)})`,
  activated: ({ directory }) => `current → ${directory}`,
  hook: ({ result }) => {
    const { when, command, exitCode, timedOut, stdout, stderr, durationMs } = result;
    const end = timedOut
      ? "timed out"
      : exitCode === 0
        ? "succeeded"
        : `failed (${exitCode ?? "signal"})`;
    const output = [stdout, stderr].flatMap((text) => (text === "" ? [] : text.split("\n")));
    return {
      text: `${when}-deploy hook ${end}: ${command} (${humanDuration(durationMs)})`,
      output,
    };
  },
  deployed: ({ tag, previousTag, durationMs, operator }) =>
    `${tag} deployed${by(operator)}${previousTag === undefined ? "" : `, was ${previousTag}`} (${humanDuration(durationMs)})`,
  "given-up": ({ tag, reason }) => `deploy of ${tag} given up: ${reason}`,
  superseded: ({ tag, by }) => `${tag} superseded by ${by}`,
  "rolled-back": ({ tag, to, reason, operator }) =>
    `${tag} rolled back to ${to}${operator === undefined ? `: ${reason}` : by(operator)}`,
  ordered: ({ command, operator }) => `${command} asked for${by(operator)}`,
  refused: ({ command, operator, reason }) =>
    `${command}${by(operator)} not carried out: ${reason}`,
  waiting: ({ tag, reason, until }) =>
    `${tag} waits: ${reason}${until === undefined ? "" : `; until ${utcMinute(until)}`}`,
  rollout: rolloutText,
  webhook: ({ source, outcome, reason }) =>
    `webhook ${outcome} (${source})${reason === undefined ? "" : `: ${reason}`}`,
  "would-deploy": ({ tag, previousTag }) =>
    `dry run: ${tag} would be deployed${previousTag === undefined ? "" : `, ${previousTag} is live`}`,
  "known-bad": ({ tag, reason }) =>
    `${tag} skipped: marked bad (${reason}); dewy deploy ${tag} tries it again`,
  held: ({ tag, running, reason }) => `${tag} skipped, ${running} keeps running: ${reason}`,
  failed: ({ tag, error, retryInMs }) =>
    `${tag === undefined ? "poll" : `deploy of ${tag}`} failed: ${error.message}${next("retry", retryInMs)}`,
  "succeeded-again": ({ after }) =>
    `poll succeeded again after ${counted(after, "failure", "failures")}`,
  "server-started": ({ tag, restarted, generation, pid }) =>
    `${tag} ${restarted ? "restarted" : "started"} (generation ${generation}, pid ${pid})`,
  "generation-ready": ({ tag, generation, durationMs }) =>
    `${tag} ready (generation ${generation}, ${humanDuration(durationMs)})`,
  draining: ({ generation, drainMs }) =>
    `generation ${generation} draining (up to ${humanDuration(drainMs)})`,
  drained: ({ generation, killed, durationMs }) =>
    `generation ${generation} ${killed ? "killed after the drain time" : "drained"} (${humanDuration(durationMs)})`,
  "app-exited": ({ tag, code, signal, restartInMs, lastLines, hints = [] }) => {
    const end =
      code === null ? `was ended by ${signal ?? "a signal"}` : `exited with exit code ${code}`;
    return {
      text: `${tag} ${end}${next("restart", restartInMs)}`,
      output: [...lastLines, ...hints],
    };
  },
  "image-pulling": ({ artifact }) => `pulling ${artifact}`,
  "image-pulled": ({ tag, durationMs }) => `image of ${tag} pulled (${humanDuration(durationMs)})`,
  "replica-ready": ({ tag, container, durationMs }) =>
    `${container} ready: ${tag} (${humanDuration(durationMs)})`,
  "replica-retired": ({ container, cut, durationMs }) =>
    `${container} removed (${cut === 0 ? "" : `${counted(cut, "connection", "connections")} closed, `}${humanDuration(durationMs)})`,
  "replica-lost": ({ tag, container, reason, replaceInMs, lastLines }) => ({
    text: `${container} of ${tag} lost: ${reason}${next("replaced", replaceInMs)}`,
    output: lastLines,
  }),
  "containers-serving": ({ tag, bakeMs }) => `${tag} serving (bake ${humanDuration(bakeMs)})`,
  "containers-deployed": ({ tag, ready, replicas }) =>
    `${tag} deployed: ${ready}/${replicas} replicas`,
  pruned: ({ directories }) =>
    `${counted(directories.length, "old release", "old releases")} removed`,
  "images-removed": ({ images }) => `${counted(images.length, "old image", "old images")} removed`,
  listening: ({ url, protocols }) => `listening on ${url} (${protocols})`,
};

/** Returns `undefined` for events whose message and fields are enough. */
export function storyOf(event: DewyEvent): Story | undefined {
  const write = STORIES[event.type] as ((event: DewyEvent) => string | Story) | undefined;
  const story = write?.(event);
  if (story === undefined) return undefined;
  const isSuccess = SUCCESSES.has(event.type) || isOrderedRollback(event);
  return typeof story === "string" ? { text: story, isSuccess } : { ...story, isSuccess };
}

function isOrderedRollback(event: DewyEvent): boolean {
  return event.type === "rolled-back" && event.operator !== undefined;
}

/** `120 ms`, `2.1 s`, `1 min 5 s`. */
function humanDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1_000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min${seconds % 60 === 0 ? "" : ` ${seconds % 60} s`}`;
}

function by(operator: Operator | undefined): string {
  return operator === undefined ? "" : ` by ${operatorText(operator)}`;
}

function counted(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

function next(what: string, ms: number | undefined): string {
  return ms === undefined ? "" : `; ${what} in ${humanDuration(ms)}`;
}
