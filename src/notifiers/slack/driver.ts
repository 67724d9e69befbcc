import { ConfigError, CredentialError, RemoteError } from "../../core/error.ts";
import {
  decodePath,
  type OptionSpec,
  readQuery,
  redactUrl,
  type SplitUrl,
} from "../../core/url.ts";
import { createHttpClient } from "../../http/client.ts";
import { type Notifier, type NotifierContext, type NotifierDriver, QUIET } from "../driver.ts";
import { type AppLink, slackAttachment } from "./attachment.ts";

const SYNTAX = "slack://<channel>";
const ICON = "https://raw.githubusercontent.com/linyows/dewy/main/misc/dewy-icon.512.png";
const API = "https://slack.com/api/";
const THREAD_FILE = ".slack-thread-ts";

const OPTIONS: readonly OptionSpec[] = [
  { name: "title", type: "string", description: "Name of the app, shown below each message" },
  { name: "url", type: "url", description: "Link of the title" },
  QUIET,
  {
    name: "thread",
    type: "boolean",
    description: `Reply in the thread whose timestamp is in the release's ${THREAD_FILE}; errors are also sent to the channel`,
  },
];

export interface SlackLocator extends AppLink {
  /** The channel's name or ID, without a leading `#`. */
  channel: string;
  /** Whether to reply in the release's thread. */
  thread: boolean;
}

export const slack: NotifierDriver = {
  scheme: "slack",
  name: "Slack",
  syntax: SYNTAX,
  example: "slack://deploy?title=myapp&url=https://example.com",
  site: "slack.com",
  options: OPTIONS,
  credentialPrefixes: ["SLACK_"],
  environment: [
    {
      name: "SLACK_TOKEN",
      description: "Bot token with the scope chat:write",
      secret: true,
      value: "token",
    },
    {
      name: "SLACK_API_URL",
      description: `URL of the API (default: ${API})`,
      secret: false,
    },
  ],
  open: openSlack,
};

/** Reads `slack://channel?title=&url=&thread=`. A `/` around the channel and a leading `%23` are dropped. */
export function parseSlackUrl(url: SplitUrl): SlackLocator {
  const query = readQuery(url, OPTIONS, "--notifier");
  const channel = decodePath(url.host + url.path, url, "--notifier").replace(/^[/#]+|\/+$/g, "");
  const problem = channelProblem(channel);
  if (problem !== undefined) {
    throw new ConfigError(`Cannot use --notifier "${redactUrl(url.text)}": ${problem}: ${SYNTAX}`);
  }
  return {
    channel,
    title: query.text("title") || undefined,
    url: query.text("url") || undefined,
    thread: query.flag("thread"),
  };
}

function channelProblem(channel: string): string | undefined {
  if (channel === "") return "channel is required";
  return channel.includes("@") ? "a token does not belong in a URL; set SLACK_TOKEN" : undefined;
}

function openSlack(url: SplitUrl, context: NotifierContext): Notifier | undefined {
  const locator = parseSlackUrl(url);
  const token = context.env.SLACK_TOKEN;
  if (!token) {
    context.emit({
      type: "warning",
      message: "No notifications: slack token is required; set SLACK_TOKEN",
      important: true,
    });
    return undefined;
  }
  return createSlack(locator, token, context);
}

function createSlack(locator: SlackLocator, token: string, context: NotifierContext): Notifier {
  const http = createHttpClient({ ...context, retries: 0 });
  const endpoint = `${(context.env.SLACK_API_URL || API).replace(/\/*$/, "/")}chat.postMessage`;
  let threadTs: string | undefined;
  return {
    send: async (notification, signal) => {
      const attachment = slackAttachment(notification, locator, context.host, context.clock.now());
      const form = new URLSearchParams({
        channel: locator.channel,
        username: "Dewy",
        icon_url: ICON,
        attachments: JSON.stringify([attachment]),
      });
      if (threadTs !== undefined) {
        form.set("thread_ts", threadTs);
        if (notification.kind === "error") form.set("reply_broadcast", "true");
      }
      // https://api.slack.com/methods/chat.postMessage
      const { text } = await http.text({
        method: "POST",
        url: endpoint,
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        },
        body: form.toString(),
        signal,
      });
      checkAnswer(text, locator.channel);
    },
    onActivated: async (directory) => {
      threadTs = locator.thread ? await readThread(directory, context) : undefined;
    },
  };
}

/** A release without the file is reported in the channel, not in the thread of the previous release. */
async function readThread(
  directory: string,
  context: NotifierContext,
): Promise<string | undefined> {
  if (context.readTextFile === undefined) return undefined;
  try {
    const text = (await context.readTextFile(`${directory}/${THREAD_FILE}`)).trim();
    return /^\d+\.\d+$/.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

const CREDENTIAL_ERRORS = new Set([
  "invalid_auth",
  "not_authed",
  "account_inactive",
  "token_revoked",
  "token_expired",
  "missing_scope",
]);
const TEMPORARY_ERRORS = new Set([
  "ratelimited",
  "internal_error",
  "fatal_error",
  "service_unavailable",
]);

/** Slack responds with 200 to failures as well; the body tells them apart. https://api.slack.com/web#responses */
function checkAnswer(text: string, channel: string): void {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw new RemoteError("Cannot send to Slack: the response is not JSON", {
      cause,
      retryable: false,
    });
  }
  const { ok, error } = (answer ?? {}) as { ok?: unknown; error?: unknown };
  if (ok === true) return;
  const code = typeof error === "string" ? error : "unknown error";
  const message = `Cannot send to Slack channel "${channel}": ${code}`;
  if (CREDENTIAL_ERRORS.has(code)) throw new CredentialError(`${message}; check SLACK_TOKEN`);
  throw new RemoteError(message, { retryable: TEMPORARY_ERRORS.has(code) });
}
