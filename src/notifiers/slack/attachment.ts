import { formatDuration } from "../../core/duration.ts";
import type { HookResult } from "../../core/event.ts";
import type { HostIdentity, Notification } from "../driver.ts";
import { hookOf, hookTitle } from "../hook.ts";
import { plainText, type RichText } from "../rich_text.ts";
import type { AppLink } from "./locator.ts";

const FOOTER_ICON = "https://raw.githubusercontent.com/linyows/dewy/main/misc/dewy-icon.32.png";
const PASSED = "#36a64f";
const FAILED = "#dd0000";
/** Slack cuts a field at 2,000 characters; the frame and the note on truncation need some. */
const MAX_OUTPUT = 1900;

/** A legacy attachment. https://api.slack.com/reference/messaging/attachments */
export function slackAttachment(notification: Notification, app: AppLink, host: HostIdentity) {
  const { text, entry } = notification;
  const hook = hookOf(entry);
  const common = {
    // What previews show. With `text` beside it, the message would appear twice.
    fallback: escapeText(plainText(text)),
    footer: footerOf(app, host.name),
    footer_icon: FOOTER_ICON,
    ts: Math.floor(Date.parse(entry.at) / 1000),
  };
  if (hook === undefined) {
    return { color: host.color, title: "", text: mrkdwn(text), fields: [], ...common };
  }
  return {
    color: hook.exitCode === 0 ? PASSED : FAILED,
    title: hookTitle(hook),
    text: codeBlock(hook.command),
    fields: hookFields(hook),
    ...common,
  };
}

function footerOf({ title, url }: AppLink, host: string): string {
  const name = escapeText(host);
  if (title === undefined) return name;
  const shown = escapeText(title);
  if (url === undefined) return `${shown}/${name}`;
  return `<${escapeText(url).replaceAll("|", "%7C")}|${shown.replaceAll("|", "¦")}>/${name}`;
}

function hookFields(hook: HookResult) {
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

/** Puts a hook's output into a code block; long output is cut below Slack's limit. */
export function slackOutput(output: string): string {
  if (output.length <= MAX_OUTPUT) return codeBlock(output);
  const head = output.slice(0, MAX_OUTPUT);
  const lineEnd = head.lastIndexOf("\n");
  const kept = lineEnd > 0 ? head.slice(0, lineEnd) : head;
  return codeBlock(`${kept}\n... (${output.length - kept.length} more characters truncated)`);
}

/** Replaces a code fence within an app's output, which would end the code block. */
const FENCE_INSIDE = "\u2019\u2019\u2019";

export function mrkdwn(text: RichText): string {
  return text
    .map((span) => {
      if (typeof span === "string") return escapeText(span);
      if ("bold" in span) return `*${escapeText(span.bold)}*`;
      if ("code" in span) return `\`${escapeText(span.code)}\``;
      const lines = span.lines.map((line) => line.replaceAll("```", FENCE_INSIDE));
      return `\n\`\`\`\n${escapeText(lines.join("\n"))}\n\`\`\``;
    })
    .join("");
}

function codeBlock(text: string): string {
  // Three backticks would end the block; the zero-width spaces between them are invisible.
  return `\`\`\`\n${escapeText(text).replaceAll("```", "`\u200b`\u200b`")}\n\`\`\``;
}

/** Prevents names and output from becoming mentions or links. https://api.slack.com/reference/surfaces/formatting#escaping */
function escapeText(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
