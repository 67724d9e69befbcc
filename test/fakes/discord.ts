import * as v from "valibot";
import type { Handler } from "./handler.ts";

const ID = "1234567890123456789";
const TOKEN = "discord-Token_0123456789";

const snowflake = v.pipe(v.string(), v.regex(/^\d{1,20}$/));
const httpUrl = v.pipe(v.string(), v.url(), v.regex(/^https?:\/\//));
const text = (most: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(most));

// https://discord.com/developers/docs/resources/message#embed-object-embed-limits
const Embed = v.strictObject({
  author: v.optional(v.strictObject({ name: text(256), url: v.optional(httpUrl) })),
  title: v.optional(text(256)),
  description: v.optional(text(4096)),
  color: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffffff))),
  footer: v.optional(v.strictObject({ text: text(2048) })),
  timestamp: v.optional(v.pipe(v.string(), v.isoTimestamp())),
});

// https://discord.com/developers/docs/resources/webhook#execute-webhook
const Message = v.strictObject({
  content: v.optional(text(2000)),
  username: v.optional(
    v.pipe(
      text(80),
      v.check((name) => !/clyde|discord/i.test(name), "USERNAME_INVALID_CONTAINS"),
    ),
  ),
  avatar_url: v.optional(httpUrl),
  allowed_mentions: v.optional(
    v.pipe(
      v.strictObject({
        parse: v.optional(v.array(v.picklist(["roles", "users", "everyone"]))),
        roles: v.optional(v.pipe(v.array(snowflake), v.maxLength(100))),
        users: v.optional(v.pipe(v.array(snowflake), v.maxLength(100))),
      }),
      v.check(
        ({ parse = [], roles = [], users = [] }) =>
          !(parse.includes("roles") && roles.length > 0) &&
          !(parse.includes("users") && users.length > 0),
        "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
      ),
    ),
  ),
  embeds: v.optional(v.pipe(v.array(Embed), v.maxLength(10))),
});
export type DiscordMessage = v.InferOutput<typeof Message>;

export interface FakeDiscord {
  /** Its URL, to which options can be added with `?`. */
  url: string;
  handler: Handler;
  messages: DiscordMessage[];
  /** What each message has mentioned: `@everyone`, `@here`, `<@…>`, `<@&…>`. */
  mentions: string[][];
  /** The threads that messages were posted to. */
  threads: (string | null)[];
}

/** Discord's endpoint for one webhook: it accepts what Discord accepts, and answers like it. */
export function fakeDiscord(): FakeDiscord {
  const fake: FakeDiscord = {
    url: `discord+https://discord.com/api/webhooks/${ID}/${TOKEN}`,
    messages: [],
    mentions: [],
    threads: [],
    handler: async (request) => {
      const { pathname, searchParams } = new URL(request.url);
      const [, id, token] = /^\/api(?:\/v\d+)?\/webhooks\/(\d+)\/([\w-]+)$/.exec(pathname) ?? [];
      if (id === undefined) return refusal(404, 0, "404: Not Found");
      if (request.method !== "POST") return refusal(405, 0, "405: Method Not Allowed");
      if (id !== ID) return refusal(404, 10015, "Unknown Webhook");
      if (token !== TOKEN) return refusal(401, 50027, "Invalid Webhook Token");
      if (!/^application\/json(;|$)/.test(request.headers.get("content-type") ?? "")) {
        return refusal(400, 50109, "The request body contains invalid JSON.");
      }
      const { success, output, issues } = v.safeParse(Message, await request.json());
      if (!success) return invalidForm(issues);
      if (output.content === undefined && (output.embeds ?? []).length === 0) {
        return refusal(400, 50006, "Cannot send an empty message");
      }
      if (embedLength(output) > 6000) {
        return refusal(400, 50035, "Invalid Form Body", { embeds: "MAX_EMBED_SIZE_EXCEEDED" });
      }
      const thread = searchParams.get("thread_id");
      if (thread !== null && !v.is(snowflake, thread)) {
        return refusal(400, 50035, "Invalid Form Body", { thread_id: "NUMBER_TYPE_COERCE" });
      }
      fake.messages.push(output);
      fake.mentions.push(mentionsOf(output));
      fake.threads.push(thread);
      if (searchParams.get("wait") !== "true") return new Response(null, { status: 204 });
      return Response.json({ id: `${fake.messages.length}`, webhook_id: ID, ...output });
    },
  };
  return fake;
}

/** https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit */
export function discordRateLimit(seconds: number): Response {
  return Response.json(
    { message: "You are being rate limited.", retry_after: seconds, global: false },
    { status: 429, headers: { "retry-after": `${Math.ceil(seconds)}` } },
  );
}

function refusal(status: number, code: number, message: string, errors?: unknown): Response {
  return Response.json({ message, code, errors }, { status });
}

function invalidForm(issues: readonly v.BaseIssue<unknown>[]): Response {
  const errors = Object.fromEntries(
    issues.map((issue) => [v.getDotPath(issue) ?? "_", { _errors: [issue.message] }]),
  );
  return refusal(400, 50035, "Invalid Form Body", errors);
}

function embedLength({ embeds = [] }: DiscordMessage): number {
  const texts = embeds.flatMap(({ author, title, description, footer }) => [
    author?.name,
    title,
    description,
    footer?.text,
  ]);
  return texts.join("").length;
}

/** Embeds mention nobody; without `allowed_mentions`, everything in the content does. */
function mentionsOf({ content = "", allowed_mentions: allowed }: DiscordMessage): string[] {
  const {
    parse = [],
    roles = [],
    users = [],
  } = allowed ?? { parse: ["everyone", "roles", "users"] };
  return (content.match(/@everyone|@here|<@[&!]?\d+>/g) ?? []).filter((mention) => {
    const [, kind, id = ""] = /^<@([&!]?)(\d+)>$/.exec(mention) ?? [];
    if (kind === undefined) return parse.includes("everyone");
    return kind === "&"
      ? parse.includes("roles") || roles.includes(id)
      : parse.includes("users") || users.includes(id);
  });
}
