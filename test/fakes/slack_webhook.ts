import * as v from "valibot";
import type { Handler } from "./handler.ts";

const PATH = "/services/T0000TEAM/B0000HOOK/slackWebhookToken0123456";

// https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments
const Attachment = v.strictObject({
  color: v.optional(v.pipe(v.string(), v.regex(/^(#[0-9a-f]{6}|good|warning|danger)$/i))),
  fallback: v.optional(v.string()),
  title: v.optional(v.string()),
  text: v.optional(v.string()),
  mrkdwn_in: v.optional(v.array(v.string())),
  fields: v.optional(
    v.array(v.strictObject({ title: v.string(), value: v.string(), short: v.boolean() })),
  ),
  footer: v.optional(v.pipe(v.string(), v.maxLength(300))),
  footer_icon: v.optional(v.pipe(v.string(), v.url())),
  ts: v.optional(v.pipe(v.number(), v.integer())),
});
const Message = v.strictObject({
  text: v.optional(v.pipe(v.string(), v.maxLength(40_000))),
  attachments: v.optional(v.array(Attachment)),
});
export type SlackWebhookMessage = v.InferOutput<typeof Message>;

export interface FakeSlackWebhook {
  /** Its URL, to which options can be added with `?`. */
  url: string;
  handler: Handler;
  messages: SlackWebhookMessage[];
  /** What each message has mentioned or linked: everything in angle brackets. */
  specials: string[][];
}

/**
 * Slack's endpoint for one incoming webhook. It answers in plain text, and in the words of
 * https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
 */
export function fakeSlackWebhook(): FakeSlackWebhook {
  const fake: FakeSlackWebhook = {
    url: `slack+https://hooks.slack.com${PATH}`,
    messages: [],
    specials: [],
    handler: async (request) => {
      const { pathname } = new URL(request.url);
      if (request.method !== "POST") return new Response("invalid_method", { status: 405 });
      const [, team, hook] = pathname.split("/").slice(1);
      if (`/services/${team}/${hook}` !== PATH.replace(/\/\w+$/, "")) {
        return new Response("no_service", { status: 404 });
      }
      if (pathname !== PATH) return new Response("invalid_token", { status: 403 });
      const isJson = /^application\/json(;|$)/.test(request.headers.get("content-type") ?? "");
      const message = isJson ? v.safeParse(Message, await request.json()) : undefined;
      if (message?.success !== true) return new Response("invalid_payload", { status: 400 });
      const { text = "", attachments = [] } = message.output;
      if (text === "" && attachments.length === 0) return new Response("no_text", { status: 400 });
      if (attachments.length > 100) return new Response("too_many_attachments", { status: 400 });
      fake.messages.push(message.output);
      fake.specials.push(JSON.stringify(message.output).match(/<[^<>]*>/g) ?? []);
      return new Response("ok");
    },
  };
  return fake;
}
