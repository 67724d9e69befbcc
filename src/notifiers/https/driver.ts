import { isLoopbackHost } from "../../core/private_address.ts";
import type { OptionSpec, SplitUrl } from "../../core/url.ts";
import { type Notifier, type NotifierContext, type NotifierDriver, QUIET } from "../driver.ts";
import { readWebhook } from "../webhook.ts";
import type { webhookClient } from "./client.ts";

const SECRET_VARIABLE = "DEWY_WEBHOOK_NOTIFIER_SECRET";

const OPTIONS: readonly OptionSpec[] = [
  {
    name: "secret-file",
    type: "string",
    description: `File with the secret that signs each request; defaults to \`${SECRET_VARIABLE}\``,
  },
  QUIET,
];

export const https: NotifierDriver = {
  scheme: "https",
  name: "Webhook",
  syntax: "https://<host>/<path>",
  example: "https://hooks.example.com/dewy?secret-file=/etc/dewy/webhook-secret",
  isSecretUrl: true,
  isForPrograms: true,
  options: OPTIONS,
  environment: [
    { name: SECRET_VARIABLE, description: "Secret that signs each request", secret: true },
  ],
  open: openWebhook,
};

/** All query keys but dewy's own belong to the server. */
function openWebhook(url: SplitUrl, context: NotifierContext): Notifier {
  const webhook = readWebhook(url, {
    syntax: https.syntax,
    options: OPTIONS,
    hasOwnKeys: true,
    problem: ({ protocol, hostname }) =>
      protocol === "http:" && !isLoopbackHost(hostname)
        ? "without TLS, only this machine is allowed"
        : undefined,
  });
  let client: Promise<ReturnType<typeof webhookClient>> | undefined;
  return {
    send: async (notification, signal) => {
      client ??= import("./client.ts").then(({ webhookClient }) => webhookClient(webhook, context));
      return (await client)(notification, signal);
    },
  };
}
