import { utcMinute } from "../../core/text.ts";
import { fitText, fullText, isFailure, toneOf } from "../card.ts";
import type { AppLink } from "../chat_options.ts";
import type { HostIdentity, Notification } from "../driver.ts";
import type { RichText } from "../rich_text.ts";

export interface MessageStyle {
  app: AppLink;
  host: HostIdentity;
  /** The sign-in name of a user. */
  mention: string | undefined;
}

/** Of about 28 KB. https://learn.microsoft.com/connectors/teams/#known-issues-and-limitations-with-actions */
const MAX_BYTES = 24_000;

/** A message with one Adaptive Card. https://adaptivecards.io/explorer/AdaptiveCard.html */
export function teamsMessage(notification: Notification, style: MessageStyle) {
  const messageOf = (text: RichText) => ({
    type: "message",
    attachments: [
      {
        contentType: "application/vnd.microsoft.card.adaptive",
        contentUrl: null,
        content: adaptiveCard(text, notification, style),
      },
    ],
  });
  return messageOf(
    fitText(fullText(notification), MAX_BYTES, (text) => bytesOf(messageOf(text)) <= MAX_BYTES),
  );
}

function bytesOf(message: object): number {
  return new TextEncoder().encode(JSON.stringify(message)).length;
}

const STYLES = { good: "good", bad: "attention", neutral: "default" } as const;

function adaptiveCard(
  text: RichText,
  notification: Notification,
  { app, host, mention }: MessageStyle,
) {
  const mentioned =
    mention !== undefined && isFailure(notification) ? mentionOf(mention) : undefined;
  const at = utcMinute(new Date(notification.entry.at));
  const footer = [app.title, host.name, at].filter((part) => part !== undefined).join(" · ");
  return {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: "1.4",
    msteams: { width: "Full", ...(mentioned && { entities: [mentioned] }) },
    body: [
      {
        type: "Container",
        style: STYLES[toneOf(notification)],
        bleed: true,
        items: [
          ...(mentioned ? [{ type: "TextBlock", text: mentioned.text, wrap: true }] : []),
          ...blocks(text),
        ],
      },
      block([run(footer, { size: "Small", isSubtle: true })]),
    ],
    ...(app.url !== undefined && {
      actions: [{ type: "Action.OpenUrl", title: app.title ?? "Open", url: app.url }],
    }),
  };
}

/** https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format#mention-support-within-adaptive-cards */
function mentionOf(user: string) {
  return { type: "mention", text: `<at>${user}</at>`, mentioned: { id: user, name: user } };
}

interface RunStyle {
  weight?: "Bolder";
  fontType?: "Monospace";
  size?: "Small";
  isSubtle?: boolean;
}

/** Has no markup: https://adaptivecards.io/explorer/TextRun.html. A line break is a new block. */
interface TextRun extends RunStyle {
  type: "TextRun";
  text: string;
}

function run(text: string, style: RunStyle = {}): TextRun {
  // Only a TextBlock can mention; the invisible space makes sure.
  return { type: "TextRun", text: text.replaceAll(/<(?=\/?at\b)/gi, "<\u200b"), ...style };
}

function block(inlines: readonly TextRun[], spacing: "Default" | "None" = "Default") {
  return { type: "RichTextBlock", inlines, spacing };
}

function blocks(text: RichText): object[] {
  const all: object[] = [];
  let line: TextRun[] = [];
  const end = (): void => {
    if (line.length > 0) all.push(block(line));
    line = [];
  };
  const add = (part: string, style?: RunStyle): void => {
    for (const [index, words] of part.split("\n").entries()) {
      if (index > 0) end();
      if (words !== "") line.push(run(words, style));
    }
  };
  for (const span of text) {
    if (typeof span === "string") add(span);
    else if ("bold" in span) add(span.bold, { weight: "Bolder" });
    else if ("code" in span) add(span.code, { fontType: "Monospace" });
    else {
      end();
      all.push(output(span.lines));
    }
  }
  end();
  return all;
}

function output(lines: readonly string[]) {
  return {
    type: "Container",
    style: "emphasis",
    items: lines.map((line) =>
      block([run(line === "" ? " " : line, { fontType: "Monospace", size: "Small" })], "None"),
    ),
  };
}
