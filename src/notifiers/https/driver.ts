import { secretVariable } from "../../core/environment.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import { option } from "../../core/url.ts";
import { QUIET } from "../driver.ts";
import { webhookDriver } from "../webhook.ts";

const SECRET_VARIABLE = "DEWY_WEBHOOK_NOTIFIER_SECRET";

export const https = webhookDriver({
  scheme: "https",
  name: "Webhook",
  syntax: "https://<host>/<path>",
  example: "https://hooks.example.com/dewy?secret-file=/etc/dewy/webhook-secret",
  isForPrograms: true,
  options: [
    option(
      "secret-file",
      `File with the secret that signs each request; defaults to \`${SECRET_VARIABLE}\``,
    ),
    QUIET,
  ],
  environment: [secretVariable(SECRET_VARIABLE, "Secret that signs each request")],
  hasOwnKeys: true,
  problem: ({ protocol, hostname }) =>
    protocol === "http:" && !isLoopbackHost(hostname)
      ? "without TLS, only this machine is allowed"
      : undefined,
  open: ({ target, options }, context) => ({
    name: "the webhook",
    target,
    advice: "check its URL and the secret",
    post: async (notification) => {
      const { signedReport } = await import("./signed_report.ts");
      return signedReport(notification, options.text("secret-file"), context);
    },
  }),
});
