import { secretVariable, variable } from "../../core/environment.ts";
import type { SplitUrl } from "../../core/url.ts";
import type { Notifier, NotifierContext, NotifierDriver } from "../driver.ts";
import type { MailClient } from "./client.ts";
import { missingVariable, OPTIONS, parseMailUrl, SYNTAX } from "./locator.ts";

export const mail: NotifierDriver = {
  scheme: "smtp",
  name: "Mail",
  syntax: SYNTAX,
  example: "smtp://smtp.example.com/ops@example.com?from=dewy@example.com",
  options: OPTIONS,
  credentialPrefixes: ["MAIL_"],
  environment: [
    variable("MAIL_USERNAME", "User name, for a server that requires one"),
    secretVariable("MAIL_PASSWORD", "Its password"),
    variable("MAIL_FROM", "Sender (default: the user name)"),
  ],
  open: openMail,
};

function openMail(url: SplitUrl, context: NotifierContext): Notifier | undefined {
  const locator = parseMailUrl(url, context.env);
  const missing = missingVariable(locator);
  if (missing !== undefined) {
    const message = `No notifications by mail: ${missing} is required`;
    context.emit({ type: "warning", message, important: true });
    return undefined;
  }
  let client: Promise<MailClient> | undefined;
  return {
    send: async (notification, signal) => {
      client ??= import("./client.ts").then(({ MailClient }) => new MailClient(locator, context));
      return (await client).send(notification, signal);
    },
  };
}
