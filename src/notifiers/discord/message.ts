import {
  type AppLink,
  type Card,
  cardOf,
  cutEnd,
  fitText,
  isAlarm,
  SENDER,
  TONE_COLORS,
} from "../chat.ts";
import type { HostIdentity, Notification } from "../driver.ts";
import type { RichText } from "../rich_text.ts";

/** Whom to mention, and that only they may be. */
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
  const card = cardOf(notification);
  const mentioned = isAlarm(notification) ? mention : undefined;
  const text = fitText(card.text, (shorter) => markdown(shorter).length <= MAX_DESCRIPTION);
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
        ...(card.title !== undefined && { title: card.title }),
        description: markdown(text),
        color: colorOf(card, host),
        fields: card.facts.map(([name, value]) => ({ name, value: `\`${value}\``, inline: true })),
        footer: { text: cutEnd(host.name, MAX_NAME) },
        timestamp: notification.entry.at,
      },
    ],
  };
}

function colorOf({ tone }: Card, host: HostIdentity): number {
  const color = tone === "neutral" ? host.color : TONE_COLORS[tone];
  return Number.parseInt(color.slice(1), 16);
}

/** Renders a text in Discord's Markdown. */
export function markdown(text: RichText): string {
  return text
    .map((span) => {
      if (typeof span === "string") return escapeText(span);
      if ("bold" in span) return span.bold === "" ? "" : `**${escapeText(span.bold)}**`;
      // A code span or block has no escapes: a backtick would end it.
      if ("code" in span) return span.code === "" ? "" : `\`${span.code.replaceAll("`", "ˋ")}\``;
      return `\n\`\`\`\n${span.lines.join("\n").replaceAll("```", "ˋˋˋ")}\n\`\`\``;
    })
    .join("")
    .trim();
}

/** Discord makes a link of it as a whole, and does not look for markup inside. */
const PLAIN_URL = /\bhttps?:\/\/[\w.:/?=&%#~+,;-]+/g;

function escapeText(text: string): string {
  let escaped = "";
  let end = 0;
  for (const { 0: url, index } of text.matchAll(PLAIN_URL)) {
    escaped += escapeMarkup(text.slice(end, index)) + url;
    end = index + url.length;
  }
  return escaped + escapeMarkup(text.slice(end));
}

/** Prevents names and output from becoming mentions, links or formatting. */
function escapeMarkup(text: string): string {
  return text
    .replaceAll(/[\\*_~`|[\]<]/g, "\\$&")
    .replaceAll(/^(\s*)([#>+-]|\d+(?=\.))/gm, (_, space: string, mark: string) =>
      /\d/.test(mark) ? `${space}${mark}\\` : `${space}\\${mark}`,
    )
    .replaceAll("@", "@\u200b");
}
