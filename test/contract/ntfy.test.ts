import { fakeNtfy, NTFY_TOKEN } from "../fakes/ntfy.ts";
import { httpService, notifierContract } from "./notifier.ts";

notifierContract("ntfy", {
  async setup() {
    const fake = fakeNtfy();
    const { fetch, ...service } = httpService({ accept: fake.handler });
    return {
      url: fake.url,
      context: { env: { NTFY_TOKEN }, fetch },
      secrets: [NTFY_TOKEN, fake.url.replace(/^.*\//, "")],
      arrived: async () => fake.messages.map(({ title, message }) => `${title}\n${message}`),
      ...service,
    };
  },
});
