import { isLoopbackHost } from "../../core/private_address.ts";
import type { OptionSpec, SplitUrl } from "../../core/url.ts";
import { type Notifier, type NotifierContext, type NotifierDriver, QUIET } from "../driver.ts";
import { reportOf } from "../report.ts";
import { jsonPoster, readWebhook } from "../webhook.ts";
import { createSigner, SECRET_VARIABLE } from "./signature.ts";

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
  const { target, options } = readWebhook(url, {
    syntax: https.syntax,
    options: OPTIONS,
    hasOwnKeys: true,
    problem: ({ protocol, hostname }) =>
      protocol === "http:" && !isLoopbackHost(hostname)
        ? "without TLS, only this machine is allowed"
        : undefined,
  });
  const sign = createSigner(options.text("secret-file"), context);
  const name = `the webhook at ${target.host}`;
  const post = jsonPoster({ name, target, advice: "check its URL and the secret" }, context);
  return {
    send: async (notification, signal) => {
      const body = JSON.stringify(reportOf(notification, context));
      await post(body, signal, {
        "x-dewy-event": notification.entry.event,
        "x-dewy-delivery": notification.id,
        ...(await sign(body)),
      });
    },
  };
}
