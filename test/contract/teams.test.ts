import { fakeTeams, type TeamsCard } from "../fakes/teams.ts";
import { httpService, notifierContract } from "./notifier.ts";

type Element = TeamsCard["body"][number];
type Item = Extract<Element, { type: "Container" }>["items"][number];

/** What a person sees. */
function shown(element: Element | Item): string {
  switch (element.type) {
    case "Container":
      return element.items.map(shown).join("\n");
    case "RichTextBlock":
      return element.inlines.map(({ text }) => text).join("");
    case "TextBlock":
      return element.text;
  }
}

notifierContract("teams", {
  async setup() {
    const fake = fakeTeams();
    const { fetch, ...service } = httpService({ accept: fake.handler });
    return {
      url: fake.url,
      context: { fetch },
      secrets: [new URL(fake.url).pathname, fake.url.replace(/^.*sig=/, "")],
      arrived: async () => {
        if (fake.failedRuns.length > 0) throw new Error(fake.failedRuns.join());
        return fake.cards.map(({ body }) => body.map(shown).join("\n"));
      },
      ...service,
    };
  },
});
