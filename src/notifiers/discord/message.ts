import { cutEnd, fitText, fullText, isFailure, SENDER, TONE_COLORS, toneOf } from "../card.ts";
import type { AppLink } from "../chat_options.ts";
import type { HostIdentity, Notification } from "../driver.ts";
import type { RichText } from "../rich_text.ts";

/** What to mention, and the permission for nothing else. */
export interface Mention {
  content: string;
  allowed: { parse: string[]; roles?: string[]; users?: string[] };
}

export interface MessageStyle {
  app: AppLink;
  host: HostIdentity;
  mention: Mention | undefined;
}

/** Of 4,096; the whole embed may have 6,000. https://discord.com/developers/docs/resources/message#embed-object-embed-limits */
const MAX_DESCRIPTION = 4_000;
const MAX_NAME = 200;

export function discordMessage(notification: Notification, { app, host, mention }: MessageStyle) {
  const mentioned = isFailure(notification) ? mention : undefined;
  const description = markdown(
    fitText(fullText(notification), MAX_DESCRIPTION, (text) => {
      return markdown(text).length <= MAX_DESCRIPTION;
    }),
  );
  return {
    username: SENDER.name,
    avatar_url: SENDER.icon,
    ...(mentioned && { content: mentioned.content }),
    allowed_mentions: mentioned?.allowed ?? { parse: [] },
    embeds: [
      {
        ...(app.title !== undefined && {
          author: {
            name: cutEnd(app.title, MAX_NAME),
            ...(app.url !== undefined && { url: app.url }),
          },
        }),
        ...(description !== "" && { description }),
        color: colorOf(notification, host),
        footer: { text: cutEnd(host.name, MAX_NAME) },
        timestamp: notification.entry.at,
      },
    ],
  };
}

function colorOf(notification: Notification, host: HostIdentity): number {
  const tone = toneOf(notification);
  const color = tone === "neutral" ? host.color : TONE_COLORS[tone];
  return Number.parseInt(color.slice(1), 16);
}

/** Renders a text in Discord's Markdown. */
export function markdown(text: RichText): string {
  const last = text.length - 1;
  return text
    .map((span, index) => {
      if (typeof span === "string") return escapeText(span, index === last);
      if ("bold" in span) return span.bold === "" ? "" : `**${escapeMarkup(span.bold)}**`;
      // A code span or block has no escapes: a backtick would end it.
      if ("code" in span) return span.code === "" ? "" : `\`${span.code.replaceAll("`", "ˋ")}\``;
      const output = span.lines.join("\n").replaceAll("```", "ˋˋˋ");
      // An empty block would begin with the backticks of the next one.
      return /^\n*$/.test(output) ? "" : `\n\`\`\`\n${output}\n\`\`\``;
    })
    .join("")
    .trim();
}

/** Discord makes a link of everything up to the next space, and ignores escapes inside. */
const LINK = /\bhttps?:\/\/[\w.:/?=&%#~+,;-]+(?=\s|$)/g;

function escapeText(text: string, isLast: boolean): string {
  let escaped = "";
  let end = 0;
  for (const { 0: url, index } of text.matchAll(LINK)) {
    const next = index + url.length;
    if (next === text.length && !isLast) break;
    escaped += escapeMarkup(text.slice(end, index)) + url;
    end = next;
  }
  return escaped + escapeMarkup(text.slice(end));
}

/** Prevents names and output from becoming mentions, links or formatting. */
function escapeMarkup(text: string): string {
  return text
    .replaceAll(/[\\*_~`|[\]<]/g, "\\$&")
    .replaceAll("://", ":\\/\\/")
    .replaceAll(/^(\s*)([#>+-])/gm, "$1\\$2")
    .replaceAll(/^(\s*\d+)\./gm, "$1\\.")
    .replaceAll("@", "@\u200b");
}
