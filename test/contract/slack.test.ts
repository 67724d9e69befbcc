import { httpService, notifierContract } from "./notifier.ts";

const TOKEN = "xoxb-contract-token";

/** https://api.slack.com/reference/surfaces/formatting#escaping */
function unescaped(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

interface Attachment {
  fallback: string;
  title: string;
  text: string;
  footer: string;
  fields: { title: string; value: string }[];
}

notifierContract("slack", {
  async setup() {
    const messages: string[] = [];
    const { fetch, ...service } = httpService({
      accept: async (request) => {
        const form = new URLSearchParams(await request.text());
        if (request.headers.get("authorization") !== `Bearer ${TOKEN}`) throw new Error("token");
        if (form.get("channel") !== "deploy") throw new Error("channel");
        const attachments: Attachment[] = JSON.parse(form.get("attachments") ?? "");
        if (!attachments.every(({ fallback }) => fallback)) throw new Error("no text for previews");
        const shown = attachments.flatMap(({ title, text, footer, fields }) => [
          title,
          text,
          ...fields.map((field) => `${field.title}: ${field.value}`),
          footer,
        ]);
        messages.push(unescaped(shown.join("\n")));
        return Response.json({ ok: true });
      },
      // Slack answers with 200 to failures as well.
      denied: () => Response.json({ ok: false, error: "invalid_auth" }),
      refused: () => Response.json({ ok: false, error: "invalid_attachments" }),
    });
    return {
      url: "slack://deploy",
      context: { env: { SLACK_TOKEN: TOKEN }, fetch },
      secrets: [TOKEN],
      arrived: async () => messages,
      ...service,
    };
  },
});
