import { type FakeDiscord, fakeDiscord } from "../fakes/discord.ts";
import { httpService, notifierContract } from "./notifier.ts";

/** What a person sees. */
function shownBy({ messages }: FakeDiscord): string[] {
  return messages.map(({ content = "", embeds = [] }) => {
    const [{ author, description = "", footer } = {}] = embeds;
    const markdown = [content, author?.name, description, footer?.text].join("\n");
    return markdown.replaceAll(/\\([^\w\s])/g, "$1").replaceAll("\u200b", "");
  });
}

notifierContract("discord", {
  async setup() {
    const fake = fakeDiscord();
    const { fetch, ...service } = httpService({
      accept: fake.handler,
      denied: () => Response.json({ message: "Unknown Webhook", code: 10015 }, { status: 404 }),
    });
    return {
      url: fake.url,
      context: { fetch },
      secrets: [new URL(fake.url).pathname, fake.url.replace(/^.*\//, "")],
      arrived: async () => shownBy(fake),
      ...service,
    };
  },
});
