import { ConfigError } from "../../core/error.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import type { SplitUrl } from "../../core/url.ts";
import { APP_OPTIONS, readAppLink } from "../chat.ts";
import type { Notifier, NotifierContext, NotifierDriver } from "../driver.ts";
import { jsonPoster, readWebhook, type WebhookForm } from "../webhook.ts";
import { DEFAULT_ALARM_PRIORITY, ntfyMessage, PRIORITIES } from "./message.ts";

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
      description: `Priority of errors: ${PRIORITIES.join(", ")} (default: ${DEFAULT_ALARM_PRIORITY})`,
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

/** For a server on this machine. */
export const ntfyPlain: NotifierDriver = {
  ...ntfy,
  scheme: "ntfy+http",
  name: "ntfy on this machine",
  syntax: "ntfy+http://127.0.0.1:<port>/<topic>",
  example: "ntfy+http://127.0.0.1:2586/deploys?title=myapp",
  sites: [],
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
    send: (notification, signal) =>
      post(ntfyMessage(notification, { topic, app, host: context.host, priority }), signal),
  };
}

function readPriority(text: string): number {
  const index = PRIORITIES.indexOf(text || DEFAULT_ALARM_PRIORITY);
  if (index >= 0) return index + 1;
  throw new ConfigError(
    `Invalid value for --notifier: priority=${text} is not one of ${PRIORITIES.join(", ")}`,
  );
}
