import { ConfigError } from "../../core/error.ts";
import { option } from "../../core/url.ts";
import { APP_OPTIONS, readAppLink } from "../chat_options.ts";
import { webhookDriver } from "../webhook.ts";

/** Workflows "When a Teams webhook request is received". https://support.microsoft.com/en-us/office/8ae491c7-0394-4861-ba59-055e33f75498 */
export const teams = webhookDriver({
  scheme: "teams+https",
  name: "Microsoft Teams",
  syntax: "teams+https://<the URL of a workflow>",
  example:
    "teams+https://prod-1.westus.logic.azure.com/workflows/<id>/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=<signature>&title=myapp",
  sites: ["logic.azure.com", "api.powerplatform.com", "webhook.office.com", "outlook.office.com"],
  options: [
    ...APP_OPTIONS,
    option(
      "mention",
      "Mentioned by failures: the sign-in name of a user, such as alice@example.com",
    ),
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
  open({ target, options }, { host }) {
    const style = {
      app: readAppLink(options),
      host,
      mention: readMention(options.text("mention")),
    };
    return {
      target,
      advice: "check the URL of the workflow, that anyone may trigger it, and that it is turned on",
      // The workflow is turned off.
      refusesAll: (body) => body.includes("TriggerIsNotEnabled"),
      post: async (notification) => {
        const { teamsMessage } = await import("./message.ts");
        return { body: teamsMessage(notification, style) };
      },
    };
  },
});

function readMention(text: string): string | undefined {
  if (text === "" || /^[^\s<>@]+@[^\s<>@]+$/.test(text)) return text || undefined;
  throw new ConfigError(
    `Invalid value for --notifier: mention=${text} is not a sign-in name such as alice@example.com`,
  );
}
