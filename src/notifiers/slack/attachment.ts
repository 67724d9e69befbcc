import { formatDuration } from "../../core/duration.ts";
import type { HookResult } from "../../core/event.ts";
import { headOf, isFailure, TONE_COLORS } from "../card.ts";
import type { AppLink } from "../chat_options.ts";
import type { HostIdentity, Notification } from "../driver.ts";
import { hookOf, hookTitle } from "../hook.ts";
import { plainText, type RichText } from "../rich_text.ts";
import type { SlackOptions } from "./locator.ts";

const FOOTER_ICON = "https://raw.githubusercontent.com/linyows/dewy/main/misc/dewy-icon.32.png";
/** Slack cuts a longer field. The frame, the note on truncation and escapes need some. */
const MAX_FIELD = 2_000;
const MAX_OUTPUT = 1_900;

/** The message of the bot and of a webhook. */
export function slackMessage(
  notification: Notification,
  options: SlackOptions,
  host: HostIdentity,
): { text?: string; attachments: object[] } {
  const { mention } = options;
  if (mention === undefined || !isFailure(notification)) {
    return { attachments: [slackAttachment(notification, options, host)] };
  }
  // Attachments cannot mention anyone, and previews show only this text, so the first words move there.
  const { text } = notification;
  const end = text.findIndex((span) => typeof span !== "string" && "lines" in span);
  const [head, rest] = end < 0 ? [text, []] : [text.slice(0, end), text.slice(end)];
  const attachment = slackAttachment({ ...notification, text: rest }, options, host);
  return {
    text: `${mention} ${mrkdwn(head)}`,
    attachments: [{ ...attachment, fallback: fallbackOf(notification) }],
  };
}

/** A legacy attachment. https://api.slack.com/reference/messaging/attachments */
export function slackAttachment(notification: Notification, app: AppLink, host: HostIdentity) {
  const { text, entry, lateAt } = notification;
  const hook = hookOf(entry);
  const common = {
    // What previews show. With `text` beside it, the message would appear twice.
    fallback: fallbackOf(notification),
    footer: footerOf(app, host.name),
    footer_icon: FOOTER_ICON,
    ts: Math.floor(Date.parse(entry.at) / 1000),
  };
  if (hook === undefined) {
    return { color: host.color, title: "", text: mrkdwn(text), fields: [], ...common };
  }
  return {
    color: hook.exitCode === 0 ? TONE_COLORS.good : TONE_COLORS.bad,
    title: lateAt === undefined ? hookTitle(hook) : `${hookTitle(hook)} [${lateAt}]`,
    text: codeBlock(hook.command),
    fields: hookFields(hook),
    ...common,
  };
}

function fallbackOf({ text }: Notification): string {
  return escapeText(plainText(text));
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
  for (let length = MAX_OUTPUT; ; length = Math.floor(length * 0.8)) {
    const block = codeBlock(cutOutput(output, length));
    if (block.length <= MAX_FIELD) return block;
  }
}

function cutOutput(output: string, length: number): string {
  if (output.length <= length) return output;
  const kept = headOf(output, length);
  return `${kept}\n... (${output.length - kept.length} more characters truncated)`;
}

/** Replaces a code fence within an app's output, which would end the code block. */
const FENCE_INSIDE = "\u2019\u2019\u2019";

export function mrkdwn(text: RichText): string {
  return text
    .map((span) => {
      if (typeof span === "string") return escapeText(span);
      if ("bold" in span) return `*${escapeText(span.bold)}*`;
      if ("code" in span) return `\`${escapeText(span.code.replaceAll("`", "ˋ"))}\``;
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
