import { fakeSlackWebhook, type SlackWebhookMessage } from "../fakes/slack_webhook.ts";
import { httpService, notifierContract } from "./notifier.ts";

/** What a person sees. */
function shown({ text = "", attachments = [] }: SlackWebhookMessage): string {
  const parts = attachments.flatMap((attachment) => [
    attachment.title,
    attachment.text,
    ...(attachment.fields ?? []).map(({ title, value }) => `${title}: ${value}`),
    attachment.footer,
  ]);
  const all = [text, ...parts].join("\n");
  return all.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

notifierContract("slack+https", {
  async setup() {
    const fake = fakeSlackWebhook();
    const { fetch, ...service } = httpService({
      accept: fake.handler,
      denied: () => new Response("no_service", { status: 404 }),
      refused: () => new Response("invalid_payload", { status: 400 }),
    });
    return {
      url: fake.url,
      context: { fetch },
      secrets: [new URL(fake.url).pathname, fake.url.replace(/^.*\//, "")],
      arrived: async () => fake.messages.map(shown),
      ...service,
    };
  },
});
