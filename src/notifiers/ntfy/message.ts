import { fitText, fullText, isFailure, type Tone, toneOf } from "../card.ts";
import type { AppLink } from "../chat_options.ts";
import type { HostIdentity, Notification } from "../driver.ts";
import { plainText, type RichText } from "../rich_text.ts";

/** A longer message becomes an attachment, and the request may be twice as long. https://docs.ntfy.sh/publish/#limitations */
const MAX_MESSAGE_BYTES = 4_096;
const MAX_REQUEST_BYTES = 8_192;
const MAX_TITLE = 200;

/** Shown as emojis. https://docs.ntfy.sh/emojis/ */
const TAGS: Readonly<Record<Tone, readonly string[]>> = {
  good: ["white_check_mark"],
  bad: ["rotating_light"],
  neutral: [],
};

export interface MessageStyle {
  topic: string;
  app: AppLink;
  host: HostIdentity;
  /** Of errors. */
  priority: number;
}

/** Plain text, which ntfy shows as it is. */
export function ntfyMessage(notification: Notification, style: MessageStyle) {
  const { topic, app, host, priority } = style;
  const messageOf = (text: RichText) => ({
    topic,
    title: [app.title ?? "Dewy", host.name].join(" on ").slice(0, MAX_TITLE),
    message: plainText(text).trim(),
    tags: TAGS[toneOf(notification)],
    ...(isFailure(notification) && { priority }),
    ...(app.url !== undefined && { click: app.url }),
  });
  return messageOf(
    fitText(fullText(notification), MAX_MESSAGE_BYTES, (text) => {
      const message = messageOf(text);
      return (
        bytesOf(message.message) <= MAX_MESSAGE_BYTES &&
        bytesOf(JSON.stringify(message)) <= MAX_REQUEST_BYTES
      );
    }),
  );
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
