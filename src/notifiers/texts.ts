import { formatDuration } from "../core/duration.ts";
import type { DewyEvent, HookResult } from "../core/event.ts";
import type { Notification } from "./driver.ts";

type EventOf<T extends DewyEvent["type"]> = Extract<DewyEvent, { type: T }>;

const SIGNAL_NAMES: Readonly<Record<string, string>> = {
  SIGINT: "interrupt",
  SIGTERM: "terminated",
  SIGQUIT: "quit",
};

/**
 * Says what people are told of an event.
 *
 * @param event the event.
 * @param quiet whether only successes, errors and failed hooks are told. `assets` tells the success itself
 * only then: otherwise the download has announced it; `container` counts its replicas instead.
 * @returns the notification; `undefined` for events that only the log hears of.
 */
export function notificationOf(event: DewyEvent, quiet: boolean): Notification | undefined {
  switch (event.type) {
    case "started":
      return message(`Automatic shipping started by *Dewy* (v${event.version}: ${event.command})`);
    case "stopping":
      return message(`Stop receiving by \`${SIGNAL_NAMES[event.signal] ?? event.signal}\` signal`);
    case "downloaded":
      return message(`Downloaded artifact for \`${event.tag}\``);
    case "hook":
      return hookNotification(event.result);
    case "deployed":
      return quiet && event.command !== "container"
        ? { kind: "success", text: `Deployed \`${event.tag}\`` }
        : undefined;
    case "server-started":
      return message(startText(event));
    case "app-restart":
      return message(`Restarted receiving by \`${event.signal}\` signal`);
    case "app-exited":
      return exitNotification(event);
    case "resumed":
      return error(
        `\`${event.tag}\` failed when it was started anew, and serves on as before: ${event.reason}`,
      );
    case "start-failed":
      return error(`Cannot start \`${event.tag}\`: ${event.reason}${nextTry(event.retryInMs)}`);
    case "crash-loop":
      return error(`\`${event.tag}\` keeps crashing (${event.crashes} times): ${event.action}`);
    case "adopted":
      return message(`Found \`${event.tag}\` still running from an earlier start of dewy`);
    case "image-pulled":
      return message(`Pulled image for \`${event.tag}\``);
    case "containers-deployed":
      return { kind: "success", text: containersText(event) };
    case "containers-adopted":
      return message(adoptedText(event));
    case "replica-lost":
      return error(lostText(event));
    case "no-program":
      return message("Versions are deployed, but no command is given: nothing is started");
    case "bytes-changed":
      return error(
        `The bytes of \`${event.artifact}\` have changed under the tag \`${event.tag}\`: not deployed`,
      );
    case "rolled-back":
      return error(`Rolled back from \`${event.tag}\` to \`${event.to}\`: ${event.reason}`);
    case "superseded":
      return message(
        `\`${event.tag}\` was superseded by \`${event.by}\` before it counted as deployed`,
      );
    case "failed":
      return error(failedText(event));
    case "uncaught":
      return event.count === 1
        ? error(`Unexpected error, this is a bug in dewy; it keeps running: ${event.error}`)
        : undefined;
    default:
      return undefined;
  }
}

function message(text: string): Notification {
  return { kind: "message", text };
}

function error(text: string): Notification {
  return { kind: "error", text };
}

function startText(event: EventOf<"server-started">): string {
  const verb = event.restarted ? "restarted" : "started";
  return `Server ${verb} for \`${event.tag}\`${event.withPort ? "" : " without port"}`;
}

/** A worker that has finished, as it may, is nobody's trouble. */
function exitNotification(event: EventOf<"app-exited">): Notification | undefined {
  const { tag, code, signal, restartInMs } = event;
  if (code === 0 && restartInMs === undefined) return message(`\`${tag}\` finished`);
  const end =
    code === null ? `was ended by ${signal ?? "a signal"}` : `ended with exit code ${code}`;
  const next = restartInMs === undefined ? "" : `, starts again in ${formatDuration(restartInMs)}`;
  return error(`\`${tag}\` ${end}${next}${fenced(event.lastLines)}`);
}

function containersText({ tag, ready, replicas }: EventOf<"containers-deployed">): string {
  return `Container deployed successfully: \`${ready}/${replicas}\` replicas of \`${tag}\``;
}

function adoptedText({ containers, tags }: EventOf<"containers-adopted">): string {
  const versions = tags.map((tag) => `\`${tag}\``).join(", ");
  const many = containers.length === 1 ? "container" : "containers";
  return `Found ${containers.length} ${many} of ${versions} still running from an earlier start of dewy`;
}

function lostText(event: EventOf<"replica-lost">): string {
  const { tag, container, reason, replaceInMs } = event;
  const next = replaceInMs === undefined ? "" : `, replaced in ${formatDuration(replaceInMs)}`;
  return `Container \`${container}\` of \`${tag}\` is lost: ${reason}${next}${fenced(event.lastLines)}`;
}

const TOLD_LINES = 20;
/** What a fence within the output becomes: it would end ours. */
const FENCE_INSIDE = "\u2019\u2019\u2019";
/** Chats cut long texts somewhere; these ends are worth more than the beginning. */
const TOLD_LINE_LENGTH = 500;

function fenced(lines: readonly string[]): string {
  if (lines.length === 0) return "";
  const shown = lines
    .slice(-TOLD_LINES)
    .map((line) => line.slice(0, TOLD_LINE_LENGTH).replaceAll("```", FENCE_INSIDE));
  return `\n\`\`\`\n${shown.join("\n")}\n\`\`\``;
}

function failedText({ count, error: { message: why }, retryInMs }: EventOf<"failed">): string {
  return `Error occurred (count: ${count}): ${why}${nextTry(retryInMs)}`;
}

function nextTry(inMs: number | undefined): string {
  if (inMs === undefined) return "";
  return ` (next try in ${formatDuration(Math.ceil(inMs / 1_000) * 1_000)})`;
}

/** The title of a hook's result: `Before Deploy Hook`. */
export function hookTitle(result: HookResult): string {
  return result.when === "before" ? "Before Deploy Hook" : "After Deploy Hook";
}

function hookNotification(result: HookResult): Notification {
  const passed = result.exitCode === 0;
  const end = result.timedOut ? "timed out" : `exit: ${result.exitCode ?? "signal"}`;
  return {
    kind: passed ? "hook-passed" : "hook-failed",
    text: `${passed ? "✓" : "✗"} ${hookTitle(result)}: ${result.command} (${end})`,
    hook: result,
  };
}
