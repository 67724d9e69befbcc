import { ConfigError } from "../../core/error.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import type { SplitUrl } from "../../core/url.ts";
import { APP_OPTIONS, readAppLink } from "../chat_options.ts";
import type { Notifier, NotifierContext, NotifierDriver } from "../driver.ts";
import { jsonPoster, readWebhook, type WebhookForm } from "../webhook.ts";

/** From 1 to 5. https://docs.ntfy.sh/publish/#message-priority */
const PRIORITIES: readonly string[] = ["min", "low", "default", "high", "max"];
const FAILURE_PRIORITY = "high";

const SYNTAX = "ntfy+https://<host>/<topic>";
const FORM: WebhookForm = {
  syntax: SYNTAX,
  options: [
    ...APP_OPTIONS.map((option) =>
      option.name === "url"
        ? { ...option, description: "Opened by a tap on the notification" }
        : option,
    ),
    {
      name: "priority",
      type: "string",
      description: `Priority of failures: ${PRIORITIES.join(", ")} (default: ${FAILURE_PRIORITY})`,
    },
  ],
  problem: ({ protocol, hostname, pathname }) => {
    if (protocol === "http:" && !isLoopbackHost(hostname)) {
      return "plain HTTP is allowed to this machine only";
    }
    return /^\/[-\w]{1,64}$/.test(pathname)
      ? undefined
      : "the path is not a topic of letters, digits, - and _";
  },
};

/** Its second scheme, `ntfy+http`, is for a server on this machine. */
export const ntfy: NotifierDriver = {
  scheme: "ntfy+https",
  name: "ntfy",
  syntax: SYNTAX,
  example: "ntfy+https://ntfy.sh/my-secret-topic?title=myapp",
  sites: ["ntfy.sh"],
  isSecretUrl: true,
  options: FORM.options,
  environment: [
    {
      name: "NTFY_TOKEN",
      description: "Access token, if the topic is protected",
      secret: true,
      value: "token",
    },
  ],
  open: openNtfy,
};

function openNtfy(url: SplitUrl, context: NotifierContext): Notifier {
  const { target, options } = readWebhook(url, FORM);
  const topic = target.pathname.slice(1);
  const app = readAppLink(options);
  const priority = readPriority(options.text("priority"));
  const token = context.env.NTFY_TOKEN;
  const post = jsonPoster(
    {
      name: "ntfy",
      // JSON goes to the root; the topic is in the body. https://docs.ntfy.sh/publish/#publish-as-json
      target: new URL("/", target),
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
      advice: "check the topic and NTFY_TOKEN",
    },
    context,
  );
  return {
    send: async (notification, signal) => {
      const { ntfyMessage } = await import("./message.ts");
      await post(ntfyMessage(notification, { topic, app, host: context.host, priority }), signal);
    },
  };
}

function readPriority(text: string): number {
  const index = PRIORITIES.indexOf(text || FAILURE_PRIORITY);
  if (index >= 0) return index + 1;
  throw new ConfigError(
    `Invalid value for --notifier: priority=${text} is not one of ${PRIORITIES.join(", ")}`,
  );
}
