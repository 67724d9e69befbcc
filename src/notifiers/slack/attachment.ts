import { formatDuration } from "../../core/duration.ts";
import type { HookResult } from "../../core/event.ts";
import type { HostIdentity, Notification } from "../driver.ts";
import { hookTitle } from "../texts.ts";

const FOOTER_ICON = "https://raw.githubusercontent.com/linyows/dewy/main/misc/dewy-icon.32.png";
const PASSED = "#36a64f";
const FAILED = "#dd0000";
/** Slack cuts a field at 2,000 characters; the frame and the note on what is missing need some. */
const MAX_OUTPUT = 1900;

/** One field of an attachment. */
export interface SlackField {
  title: string;
  value: string;
  short: boolean;
}

/** A legacy attachment. https://api.slack.com/reference/messaging/attachments */
export interface SlackAttachment {
  color: string;
  title: string;
  text: string;
  fields: readonly SlackField[];
  footer: string;
  footer_icon: string;
  ts: number;
}

/**
 * Writes a notification as Slack shows it.
 *
 * @param notification what to tell.
 * @param app the app's name and link, both may be empty.
 * @param host this machine.
 * @param nowMs milliseconds since the epoch.
 * @returns the attachment.
 */
export function slackAttachment(
  notification: Notification,
  app: { title: string; url: string },
  host: HostIdentity,
  nowMs: number,
): SlackAttachment {
  const { hook } = notification;
  const common = {
    footer: footerOf(app, host.name),
    footer_icon: FOOTER_ICON,
    ts: Math.floor(nowMs / 1000),
  };
  if (hook === undefined) {
    const text = escapeText(notification.text);
    return { color: host.color, title: "", text, fields: [], ...common };
  }
  return {
    color: hook.exitCode === 0 ? PASSED : FAILED,
    title: hookTitle(hook),
    text: codeBlock(hook.command),
    fields: hookFields(hook),
    ...common,
  };
}

function footerOf({ title, url }: { title: string; url: string }, host: string): string {
  const name = escapeText(host);
  if (title === "") return name;
  const shown = escapeText(title);
  if (url === "") return `${shown}/${name}`;
  return `<${escapeText(url).replaceAll("|", "%7C")}|${shown.replaceAll("|", "¦")}>/${name}`;
}

function hookFields(hook: HookResult): SlackField[] {
  const outputs = [
    { title: "Stdout", output: hook.stdout },
    { title: "Stderr", output: hook.stderr },
  ].filter(({ output }) => output !== "");
  const exitCode = hook.timedOut ? "timeout" : (hook.exitCode ?? "signal");
  return [
    ...outputs.map(({ title, output }) => ({ title, value: slackOutput(output), short: false })),
    { title: "Exit Code", value: `\`${exitCode}\``, short: true },
    { title: "Duration", value: formatDuration(hook.durationMs), short: true },
  ];
}

/**
 * Frames a hook's output; of a long one the first lines are shown, and how much is missing.
 *
 * @param output the output.
 * @returns a code block below Slack's limit.
 */
export function slackOutput(output: string): string {
  if (output.length <= MAX_OUTPUT) return codeBlock(output);
  const head = output.slice(0, MAX_OUTPUT);
  const lineEnd = head.lastIndexOf("\n");
  const kept = lineEnd > 0 ? head.slice(0, lineEnd) : head;
  return codeBlock(`${kept}\n... (${output.length - kept.length} more characters truncated)`);
}

function codeBlock(text: string): string {
  // Three backticks inside would end the block; a zero-width space between them does not show.
  return `\`\`\`\n${escapeText(text).replaceAll("```", "`\u200b`\u200b`")}\n\`\`\``;
}

/** Keeps names and output from becoming mentions or links. https://api.slack.com/reference/surfaces/formatting#escaping */
function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
