import * as v from "valibot";
import type { Handler } from "./handler.ts";

export const NTFY_TOKEN = "tk_0123456789abcdefghijklmnopqrs";
const TOPIC = "dewy-topic-0123456789";

const MESSAGE_LIMIT = 4_096;

// https://docs.ntfy.sh/publish/#publish-as-json
const Message = v.strictObject({
  topic: v.string(),
  title: v.optional(v.string()),
  message: v.optional(v.string()),
  tags: v.optional(v.array(v.pipe(v.string(), v.excludes(",")))),
  priority: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(5))),
  click: v.optional(v.string()),
});
export type NtfyMessage = v.InferOutput<typeof Message>;

export interface FakeNtfy {
  /** Its URL, to which options can be added with `?`. */
  url: string;
  handler: Handler;
  messages: NtfyMessage[];
}

/** An ntfy server with one protected topic; the token is {@link NTFY_TOKEN}. */
export function fakeNtfy(): FakeNtfy {
  const fake: FakeNtfy = {
    url: `ntfy+https://ntfy.sh/${TOPIC}`,
    messages: [],
    handler: async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname !== "/" || request.method !== "POST") {
        return refusal(404, 40401, "page not found");
      }
      const text = await request.text();
      if (bytesOf(text) > 2 * MESSAGE_LIMIT) return refusal(413, 41303, "JSON body too large");
      const { success, output, issues } = v.safeParse(Message, parsed(text));
      if (!success) {
        const priority = issues.some((issue) => v.getDotPath(issue) === "priority");
        return priority
          ? refusal(400, 40007, "invalid priority parameter")
          : refusal(400, 40017, "invalid request: request body must be message JSON");
      }
      if (!/^[-_A-Za-z0-9]{1,64}$/.test(output.topic)) {
        return refusal(400, 40009, "invalid request: topic invalid");
      }
      const authorization = request.headers.get("authorization");
      if (authorization !== null && authorization !== `Bearer ${NTFY_TOKEN}`) {
        return refusal(401, 40101, "unauthorized");
      }
      if (authorization === null || output.topic !== TOPIC) {
        return refusal(403, 40301, "forbidden");
      }
      if (bytesOf(output.message ?? "") > MESSAGE_LIMIT) {
        return refusal(400, 40014, "invalid request: attachments not allowed");
      }
      fake.messages.push(output);
      const id = `${fake.messages.length}`.padStart(12, "m");
      return Response.json({ id, time: 1_767_225_600, event: "message", ...output });
    },
  };
  return fake;
}

/** Without a `Retry-After`. */
export function ntfyRateLimit(): Response {
  return refusal(429, 42901, "limit reached: too many requests");
}

function refusal(http: number, code: number, error: string): Response {
  return Response.json(
    { code, http, error, link: "https://ntfy.sh/docs/publish/" },
    { status: http },
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length;
}
