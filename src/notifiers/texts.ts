import { formatDuration } from "../core/duration.ts";
import type { DewyEvent, HookResult } from "../core/event.ts";
import { type Operator, operatorText } from "../core/operator.ts";
import { utcMinute } from "../core/text.ts";
import type { Notification } from "./driver.ts";
import { code, type RichText, rich, type Span } from "./rich_text.ts";

type EventOf<T extends DewyEvent["type"]> = Extract<DewyEvent, { type: T }>;

const SIGNAL_NAMES: Readonly<Record<string, string>> = {
  SIGINT: "interrupt",
  SIGTERM: "terminated",
  SIGQUIT: "quit",
};

/**
 * The notification of an event, in the words that users of the Go dewy know.
 *
 * @param quiet whether only successes, errors and failed hooks are sent. `assets` and `server` announce the success itself
 *   only then, since the download has announced it otherwise; `container` counts its replicas instead. What an operator
 *   asked for is always announced.
 */
export function notificationOf(event: DewyEvent, quiet: boolean): Notification | undefined {
  const parts = partsOf(event, quiet);
  return parts && { ...parts, entry: { at: new Date().toISOString(), event: event.type } };
}

type Parts = Omit<Notification, "entry">;

function partsOf(event: DewyEvent, quiet: boolean): Parts | undefined {
  switch (event.type) {
    case "started":
      return message(
        rich`Automatic shipping started by ${{ bold: "Dewy" }} (v${event.version}: ${event.command})`,
      );
    case "stopping":
      return message(
        rich`Stop receiving by ${code(SIGNAL_NAMES[event.signal] ?? event.signal)} signal`,
      );
    case "downloaded":
      return message(rich`Downloaded artifact for ${code(event.tag)}`);
    case "hook":
      return hookNotification(event.result);
    case "deployed":
      return deployedNotification(event, quiet);
    case "server-started":
      return message(startText(event));
    case "app-restart":
      return message(rich`Restarted receiving by ${code(event.signal)} signal`);
    case "app-exited":
      return exitNotification(event);
    case "resumed":
      return error(
        rich`${code(event.tag)} failed when it was restarted; the previous process keeps serving: ${event.reason}`,
      );
    case "start-failed":
      return error(
        rich`Cannot start ${code(event.tag)}: ${event.reason}${nextTry(event.retryInMs)}`,
      );
    case "crash-loop":
      return error(
        rich`${code(event.tag)} keeps crashing (${event.crashes} times): ${event.action}`,
      );
    case "adopted":
      return message(rich`Found ${code(event.tag)} still running from an earlier start of dewy`);
    case "image-pulled":
      return message(rich`Pulled image for ${code(event.tag)}`);
    case "containers-deployed":
      return success(containersText(event));
    case "containers-adopted":
      return message(adoptedText(event));
    case "replica-lost":
      return error(lostText(event));
    case "no-program":
      return message(rich`Versions are deployed, but no command is given: nothing is started`);
    case "bytes-changed":
      return error(
        rich`The bytes of ${code(event.artifact)} have changed under the tag ${code(event.tag)}: not deployed`,
      );
    case "rolled-back":
      return rolledBackNotification(event);
    case "ordered":
      return orderedNotification(event);
    case "refused":
      return message(rich`${code(event.command)} was not carried out: ${event.reason}`);
    case "waiting":
      return message(rich`${code(event.tag)} is available but waits: ${waitText(event)}`);
    case "driver":
      return event.notify ? message(rich`${event.scheme}: ${event.message}`) : undefined;
    case "superseded":
      return message(
        rich`${code(event.tag)} was superseded by ${code(event.by)} before it counted as deployed`,
      );
    case "failed":
      return error(failedText(event));
    case "uncaught":
      return event.count === 1
        ? error(rich`Unexpected error, this is a bug in dewy; it keeps running: ${event.error}`)
        : undefined;
    default:
      return undefined;
  }
}

function message(text: RichText): Parts {
  return { kind: "message", text };
}

function error(text: RichText): Parts {
  return { kind: "error", text };
}

function success(text: RichText): Parts {
  return { kind: "success", text };
}

function deployedNotification(event: EventOf<"deployed">, quiet: boolean): Parts | undefined {
  const { tag, command, operator } = event;
  if (operator !== undefined) return success(rich`Deployed ${code(tag)} ${byText(operator)}`);
  return quiet && command !== "container" ? success(rich`Deployed ${code(tag)}`) : undefined;
}

function rolledBackNotification(event: EventOf<"rolled-back">): Parts {
  const { tag, to, reason, operator } = event;
  const text = rich`Rolled back from ${code(tag)} to ${code(to)}`;
  return operator === undefined
    ? error(rich`${text}: ${reason}`)
    : success(rich`${text} ${byText(operator)}`);
}

/** A poll is announced by what it finds. */
function orderedNotification({ command, operator }: EventOf<"ordered">): Parts | undefined {
  if (command === "poll") return undefined;
  return message(rich`${code(command)} was asked for ${byText(operator)}`);
}

/** `by alice: "checkout fails"`. */
function byText(operator: Operator): string {
  return `by ${operatorText(operator)}`;
}

function waitText({ reason, until }: EventOf<"waiting">): string {
  return until === undefined ? reason : `${reason}; until ${utcMinute(until)}`;
}

function startText(event: EventOf<"server-started">): RichText {
  const verb = event.restarted ? "restarted" : "started";
  return rich`Server ${verb} for ${code(event.tag)}${event.withPort ? "" : " without port"}`;
}

/** A worker that finished normally is not an error. */
function exitNotification(event: EventOf<"app-exited">): Parts | undefined {
  const { tag, code: exitCode, signal, restartInMs } = event;
  if (exitCode === 0 && restartInMs === undefined) return message(rich`${code(tag)} finished`);
  const end =
    exitCode === null
      ? `was ended by ${signal ?? "a signal"}`
      : `exited with exit code ${exitCode}`;
  const next = restartInMs === undefined ? "" : `, starts again in ${formatDuration(restartInMs)}`;
  return error(rich`${code(tag)} ${end}${next}${lastOf(event.lastLines)}`);
}

function containersText({ tag, ready, replicas }: EventOf<"containers-deployed">): RichText {
  return rich`Container deployed successfully: ${code(`${ready}/${replicas}`)} replicas of ${code(tag)}`;
}

function adoptedText({ containers, tags }: EventOf<"containers-adopted">): RichText {
  const versions = tags.flatMap((tag, index) => [index === 0 ? "" : ", ", code(tag)]);
  const many = containers.length === 1 ? "container" : "containers";
  return rich`Found ${containers.length} ${many} of ${versions} still running from an earlier start of dewy`;
}

function lostText(event: EventOf<"replica-lost">): RichText {
  const { tag, container, reason, replaceInMs } = event;
  const next = replaceInMs === undefined ? "" : `, replaced in ${formatDuration(replaceInMs)}`;
  return rich`Container ${code(container)} of ${code(tag)} is lost: ${reason}${next}${lastOf(event.lastLines)}`;
}

const MAX_LINES = 20;
/** Chats cut long texts somewhere; the last lines are worth more than the first. */
const MAX_LINE_LENGTH = 500;

function lastOf(lines: readonly string[]): Span {
  if (lines.length === 0) return "";
  return { lines: lines.slice(-MAX_LINES).map((line) => line.slice(0, MAX_LINE_LENGTH)) };
}

function failedText({ count, error: { message: why }, retryInMs }: EventOf<"failed">): RichText {
  return rich`Error occurred (count: ${count}): ${why}${nextTry(retryInMs)}`;
}

function nextTry(inMs: number | undefined): string {
  if (inMs === undefined) return "";
  return ` (next try in ${formatDuration(Math.ceil(inMs / 1_000) * 1_000)})`;
}

export function hookTitle(result: HookResult): string {
  return result.when === "before" ? "Before Deploy Hook" : "After Deploy Hook";
}

function hookNotification(result: HookResult): Parts {
  const passed = result.exitCode === 0;
  const end = result.timedOut ? "timed out" : `exit: ${result.exitCode ?? "signal"}`;
  return {
    kind: passed ? "hook-passed" : "hook-failed",
    text: rich`${passed ? "✓" : "✗"} ${hookTitle(result)}: ${result.command} (${end})`,
    hook: result,
  };
}
