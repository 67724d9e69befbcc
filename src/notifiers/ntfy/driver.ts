import { secretVariable } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import { isLoopbackHost } from "../../core/private_address.ts";
import { option } from "../../core/url.ts";
import { APP_OPTIONS, readAppLink } from "../chat_options.ts";
import { webhookDriver } from "../webhook.ts";

/** From 1 to 5. https://docs.ntfy.sh/publish/#message-priority */
const PRIORITIES: readonly string[] = ["min", "low", "default", "high", "max"];
const FAILURE_PRIORITY = "high";

/** Its second scheme, `ntfy+http`, is for a server on this machine. */
export const ntfy = webhookDriver({
  scheme: "ntfy+https",
  name: "ntfy",
  syntax: "ntfy+https://<host>/<topic>",
  example: "ntfy+https://ntfy.sh/my-secret-topic?title=myapp",
  sites: ["ntfy.sh"],
  options: [
    ...APP_OPTIONS.map((option) =>
      option.name === "url"
        ? { ...option, description: "Opened by a tap on the notification" }
        : option,
    ),
    option(
      "priority",
      `Priority of failures: ${PRIORITIES.join(", ")} (default: ${FAILURE_PRIORITY})`,
    ),
  ],
  problem: ({ protocol, hostname, pathname }) => {
    if (protocol === "http:" && !isLoopbackHost(hostname)) {
      return "plain HTTP is allowed to this machine only";
    }
    return /^\/[-\w]{1,64}$/.test(pathname)
      ? undefined
      : "the path is not a topic of letters, digits, - and _";
  },
  environment: [secretVariable("NTFY_TOKEN", "Access token, if the topic is protected", "token")],
  open({ target, options }, { host, env }) {
    const style = {
      topic: target.pathname.slice(1),
      app: readAppLink(options),
      host,
      priority: readPriority(options.text("priority")),
    };
    const token = env.NTFY_TOKEN;
    return {
      // JSON goes to the root; the topic is in the body. https://docs.ntfy.sh/publish/#publish-as-json
      target: new URL("/", target),
      ...(token !== undefined && { headers: { authorization: `Bearer ${token}` } }),
      advice: "check the topic and NTFY_TOKEN",
      post: async (notification) => {
        const { ntfyMessage } = await import("./message.ts");
        return { body: ntfyMessage(notification, style) };
      },
    };
  },
});

function readPriority(text: string): number {
  const index = PRIORITIES.indexOf(text || FAILURE_PRIORITY);
  if (index >= 0) return index + 1;
  throw new ConfigError(
    `Invalid value for --notifier: priority=${text} is not one of ${PRIORITIES.join(", ")}`,
  );
}
