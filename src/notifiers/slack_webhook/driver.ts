import type { SplitUrl } from "../../core/url.ts";
import type { Notifier, NotifierContext, NotifierDriver } from "../driver.ts";
import { readSlackOptions, SLACK_OPTIONS } from "../slack/locator.ts";
import { jsonPoster, readWebhook, type WebhookForm } from "../webhook.ts";

const FORM: WebhookForm = {
  syntax: "slack+https://hooks.slack.com/services/<id>/<id>/<token>",
  options: SLACK_OPTIONS,
  problem: ({ hostname, pathname }) =>
    /(^|\.)slack\.com$/.test(hostname) && !/^\/services\/\w+\/\w+\/\w+$/.test(pathname)
      ? "the path is not that of an incoming webhook"
      : undefined,
};

/** https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
export const slackWebhook: NotifierDriver = {
  scheme: "slack+https",
  name: "Slack incoming webhooks",
  syntax: FORM.syntax,
  example: "slack+https://hooks.slack.com/services/<id>/<id>/<token>?title=myapp",
  sites: ["hooks.slack.com"],
  isSecretUrl: true,
  options: FORM.options,
  environment: [],
  open: openSlackWebhook,
};

function openSlackWebhook(url: SplitUrl, context: NotifierContext): Notifier {
  const { target, options } = readWebhook(url, FORM);
  const slackOptions = readSlackOptions(options);
  const advice = "check the URL of the webhook and the channel, or make a new webhook";
  const post = jsonPoster({ name: "Slack", target, advice }, context);
  return {
    send: async (notification, signal) => {
      const { slackMessage } = await import("../slack/attachment.ts");
      await post(slackMessage(notification, slackOptions, context.host), signal);
    },
  };
}
