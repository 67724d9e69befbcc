import { readSlackOptions, SLACK_OPTIONS } from "../slack/locator.ts";
import { webhookDriver } from "../webhook.ts";

/** https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */
export const slackWebhook = webhookDriver({
  scheme: "slack+https",
  name: "Slack incoming webhooks",
  syntax: "slack+https://hooks.slack.com/services/<id>/<id>/<token>",
  example: "slack+https://hooks.slack.com/services/<id>/<id>/<token>?title=myapp",
  sites: ["hooks.slack.com"],
  options: SLACK_OPTIONS,
  problem: ({ hostname, pathname }) =>
    /(^|\.)slack\.com$/.test(hostname) && !/^\/services\/\w+\/\w+\/\w+$/.test(pathname)
      ? "the path is not that of an incoming webhook"
      : undefined,
  open({ target, options }, { host }) {
    const style = readSlackOptions(options);
    return {
      name: "Slack",
      target,
      advice: "check the URL of the webhook and the channel, or make a new webhook",
      post: async (notification) => {
        const { slackMessage } = await import("../slack/attachment.ts");
        return { body: slackMessage(notification, style, host) };
      },
    };
  },
});
