import * as v from "valibot";
import type { Handler } from "./handler.ts";

const PATH = "/workflows/0123456789abcdef0123456789abcdef/triggers/manual/paths/invoke";
const SIGNATURE = "teams-Signature_0123456789-abcdefghijklmnopq";
const QUERY = `api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=${SIGNATURE}`;

const spacing = v.optional(v.picklist(["None", "Small", "Default"]));
const TextRun = v.strictObject({
  type: v.literal("TextRun"),
  text: v.pipe(v.string(), v.minLength(1), v.excludes("\n")),
  weight: v.optional(v.picklist(["Default", "Lighter", "Bolder"])),
  fontType: v.optional(v.picklist(["Default", "Monospace"])),
  size: v.optional(v.picklist(["Small", "Default", "Medium"])),
  isSubtle: v.optional(v.boolean()),
});
const RichTextBlock = v.strictObject({
  type: v.literal("RichTextBlock"),
  inlines: v.pipe(v.array(TextRun), v.minLength(1)),
  spacing,
});
const TextBlock = v.strictObject({
  type: v.literal("TextBlock"),
  text: v.string(),
  wrap: v.optional(v.boolean()),
});
const style = v.optional(v.picklist(["default", "emphasis", "good", "attention", "warning"]));
const Output = v.strictObject({
  type: v.literal("Container"),
  style,
  items: v.array(RichTextBlock),
});
const Container = v.strictObject({
  type: v.literal("Container"),
  style,
  bleed: v.optional(v.boolean()),
  items: v.array(v.variant("type", [RichTextBlock, TextBlock, Output])),
});

// https://adaptivecards.io/explorer/AdaptiveCard.html
const Card = v.strictObject({
  $schema: v.literal("http://adaptivecards.io/schemas/adaptive-card.json"),
  type: v.literal("AdaptiveCard"),
  version: v.pipe(v.string(), v.regex(/^1\.[0-5]$/)),
  msteams: v.strictObject({
    width: v.optional(v.literal("Full")),
    entities: v.optional(
      v.array(
        v.strictObject({
          type: v.literal("mention"),
          text: v.pipe(v.string(), v.regex(/^<at>[^<>]+<\/at>$/)),
          mentioned: v.strictObject({ id: v.string(), name: v.string() }),
        }),
      ),
    ),
  }),
  body: v.array(v.variant("type", [Container, RichTextBlock])),
  actions: v.optional(
    v.array(
      v.strictObject({
        type: v.literal("Action.OpenUrl"),
        title: v.string(),
        url: v.pipe(v.string(), v.url()),
      }),
    ),
  ),
});
export type TeamsCard = v.InferOutput<typeof Card>;

const Trigger = v.strictObject({
  type: v.literal("message"),
  attachments: v.strictTuple([
    v.strictObject({
      contentType: v.literal("application/vnd.microsoft.card.adaptive"),
      contentUrl: v.null(),
      content: Card,
    }),
  ]),
});

export interface FakeTeams {
  /** Its URL, to which options can be added with `&`. */
  url: string;
  handler: Handler;
  cards: TeamsCard[];
  /** Why runs of the workflow failed: the caller is not informed. */
  failedRuns: string[];
  /** The users whom each card has mentioned. */
  mentions: string[][];
}

/**
 * A workflow "When a Teams webhook request is received". It accepts any JSON with 202 and starts a
 * run; the run fails if Teams does not take the card.
 */
export function fakeTeams(): FakeTeams {
  const fake: FakeTeams = {
    url: `teams+https://prod-1.westus.logic.azure.com:443${PATH}?${QUERY}`,
    cards: [],
    failedRuns: [],
    mentions: [],
    handler: async (request) => {
      const { pathname, search } = new URL(request.url);
      if (pathname !== PATH) return refusal(404, "WorkflowNotFound", "The workflow is not found.");
      // The signature covers the other keys.
      if (search !== `?${QUERY}`) {
        return refusal(401, "AuthorizationFailed", "The authentication credentials are not valid.");
      }
      if (request.method !== "POST") return refusal(404, "NotFound", "The trigger is not found.");
      const card = run(request, await request.text());
      if (typeof card === "string") fake.failedRuns.push(card);
      else {
        fake.cards.push(card);
        fake.mentions.push(mentionsOf(card));
      }
      return new Response(null, { status: 202, headers: { "x-ms-workflow-run-id": "run" } });
    },
  };
  return fake;
}

/** The workflow is turned off. */
export function teamsDisabled(): Response {
  const why = "Could not execute workflow trigger 'manual' with state 'Disabled'";
  return refusal(400, "WorkflowTriggerIsNotEnabled", why);
}

/** Returns the card that was posted, or why the run failed. */
function run(request: Request, body: string): TeamsCard | string {
  if (!/^application\/json(;|$)/.test(request.headers.get("content-type") ?? "")) {
    return "the body is not JSON";
  }
  // https://learn.microsoft.com/connectors/teams/#known-issues-and-limitations-with-actions
  if (new TextEncoder().encode(body).length > 28_000) return "request entity too large";
  const { success, output, issues } = v.safeParse(Trigger, JSON.parse(body));
  return success ? output.attachments[0].content : v.summarize(issues);
}

/** Only Markdown has mentions. */
function mentionsOf({ body, msteams }: TeamsCard): string[] {
  const markdown = body
    .flatMap((element) => (element.type === "Container" ? element.items : []))
    .map((element) => (element.type === "TextBlock" ? element.text : ""))
    .join();
  const { entities = [] } = msteams;
  return entities
    .filter(({ text }) => markdown.includes(text))
    .map(({ mentioned }) => mentioned.id);
}

function refusal(status: number, code: string, message: string): Response {
  return Response.json({ error: { code, message } }, { status });
}
