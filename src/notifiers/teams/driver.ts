import { ConfigError } from "../../core/error.ts";
import type { SplitUrl } from "../../core/url.ts";
import { APP_OPTIONS, readAppLink } from "../chat_options.ts";
import type { Notifier, NotifierContext, NotifierDriver } from "../driver.ts";
import { jsonPoster, readWebhook, type WebhookForm } from "../webhook.ts";

const FORM: WebhookForm = {
  syntax: "teams+https://<the URL of a workflow>",
  options: [
    ...APP_OPTIONS,
    {
      name: "mention",
      type: "string",
      description: "Mentioned by failures: the sign-in name of a user, such as alice@example.com",
    },
  ],
  hasOwnKeys: true,
  problem: ({ hostname, searchParams }) => {
    if (/(^|\.)office(365)?\.com$/.test(hostname)) {
      return "connectors are retired; make a workflow that starts when a Teams webhook request is received";
    }
    return searchParams.has("sig")
      ? undefined
      : "the URL has no sig=; let anyone trigger the workflow, copy its URL again, and quote it in a shell";
  },
};

/** Workflows "When a Teams webhook request is received". https://support.microsoft.com/en-us/office/8ae491c7-0394-4861-ba59-055e33f75498 */
export const teams: NotifierDriver = {
  scheme: "teams+https",
  name: "Microsoft Teams",
  syntax: FORM.syntax,
  example:
    "teams+https://prod-1.westus.logic.azure.com/workflows/<id>/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=<signature>&title=myapp",
  sites: ["logic.azure.com", "api.powerplatform.com", "webhook.office.com", "outlook.office.com"],
  isSecretUrl: true,
  options: FORM.options,
  environment: [],
  open: openTeams,
};

function openTeams(url: SplitUrl, context: NotifierContext): Notifier {
  const { target, options } = readWebhook(url, FORM);
  const app = readAppLink(options);
  const mention = readMention(options.text("mention"));
  const advice =
    "check the URL of the workflow, that anyone may trigger it, and that it is turned on";
  const post = jsonPoster({ name: "Microsoft Teams", target, advice, refusesAll }, context);
  return {
    send: async (notification, signal) => {
      const { teamsMessage } = await import("./message.ts");
      await post(teamsMessage(notification, { app, host: context.host, mention }), signal);
    },
  };
}

/** The workflow is turned off. */
function refusesAll(body: string): boolean {
  return body.includes("TriggerIsNotEnabled");
}

function readMention(text: string): string | undefined {
  if (text === "" || /^[^\s<>@]+@[^\s<>@]+$/.test(text)) return text || undefined;
  throw new ConfigError(
    `Invalid value for --notifier: mention=${text} is not a sign-in name such as alice@example.com`,
  );
}
