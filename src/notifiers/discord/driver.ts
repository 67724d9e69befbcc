import { ConfigError } from "../../core/error.ts";
import { option } from "../../core/url.ts";
import { APP_OPTIONS, readAppLink } from "../chat_options.ts";
import { webhookDriver } from "../webhook.ts";
import type { Mention } from "./message.ts";

export const discord = webhookDriver({
  scheme: "discord+https",
  name: "Discord",
  syntax: "discord+https://discord.com/api/webhooks/<id>/<token>",
  example: "discord+https://discord.com/api/webhooks/<id>/<token>?title=myapp&mention=here",
  sites: ["discord.com", "discordapp.com"],
  options: [
    ...APP_OPTIONS,
    option("mention", "Mentioned by failures: everyone, here, role:ID or user:ID"),
    option("thread_id", "Thread of the channel to post in"),
  ],
  problem: ({ pathname }) =>
    /^\/api(\/v\d+)?\/webhooks\/\d+\/[\w-]+$/.test(pathname)
      ? undefined
      : "the path is not that of a webhook",
  open({ target, options }, { host }) {
    const style = {
      app: readAppLink(options),
      host,
      mention: readMention(options.text("mention")),
    };
    const thread = options.text("thread_id");
    if (thread !== "") target.searchParams.set("thread_id", thread);
    // Without it, Discord answers before it has stored the message. https://discord.com/developers/docs/resources/webhook#execute-webhook
    target.searchParams.set("wait", "true");
    return {
      target,
      advice: "check the URL of the webhook, or make a new webhook",
      retryAfterMs,
      post: async (notification) => {
        const { discordMessage } = await import("./message.ts");
        return { body: discordMessage(notification, style) };
      },
    };
  },
});

function readMention(text: string): Mention | undefined {
  if (text === "") return undefined;
  if (text === "everyone" || text === "here")
    return { content: `@${text}`, allowed: { parse: ["everyone"] } };
  const [, kind, id = ""] = /^(role|user):(\d{1,20})$/.exec(text) ?? [];
  if (kind === "role") return { content: `<@&${id}>`, allowed: { parse: [], roles: [id] } };
  if (kind === "user") return { content: `<@${id}>`, allowed: { parse: [], users: [id] } };
  throw new ConfigError(
    `Invalid value for --notifier: mention=${text} is not everyone, here, role:ID or user:ID`,
  );
}

/** More exact than the header `Retry-After`. https://discord.com/developers/docs/topics/rate-limits */
function retryAfterMs(body: string): number | undefined {
  try {
    const { retry_after: seconds } = JSON.parse(body) as { retry_after?: unknown };
    return typeof seconds === "number" && seconds >= 0 ? Math.ceil(seconds * 1_000) : undefined;
  } catch {
    return undefined;
  }
}
