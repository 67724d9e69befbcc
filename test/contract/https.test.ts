import { createHmac } from "node:crypto";
import { httpService, notifierContract } from "./notifier.ts";

const SECRET = "contract-secret";

notifierContract("https", {
  async setup() {
    const messages: string[] = [];
    const { fetch, ...service } = httpService({
      accept: async (request) => {
        const body = await request.text();
        const signature = createHmac("sha256", SECRET).update(body).digest("hex");
        if (request.headers.get("x-dewy-signature-256") !== `sha256=${signature}`) {
          throw new Error("signature");
        }
        const { host, text, entry } = JSON.parse(body);
        messages.push([host, text, ...Object.values(entry)].join("\n"));
        return new Response(null, { status: 202 });
      },
    });
    return {
      url: "https://hooks.example.com/dewy/secret-path-1?token=secret-token-2",
      context: { env: { DEWY_WEBHOOK_NOTIFIER_SECRET: SECRET }, fetch },
      secrets: [SECRET, "secret-path-1", "secret-token-2"],
      arrived: async () => messages,
      ...service,
    };
  },
});
