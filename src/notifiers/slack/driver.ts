import { ConfigError, CredentialError, RemoteError } from "../../core/error.ts";
import {
  decodePath,
  type OptionSpec,
  readQuery,
  redactUrl,
  type SplitUrl,
} from "../../core/url.ts";
import { createHttpClient } from "../../http/client.ts";
import { type Notifier, type NotifierDriver, type NotifierIo, QUIET } from "../driver.ts";
import { slackAttachment } from "./attachment.ts";

const SYNTAX = "slack://<channel>";
const ICON = "https://raw.githubusercontent.com/linyows/dewy/main/misc/dewy-icon.512.png";
const API = "https://slack.com/api/";
const THREAD_FILE = ".slack-thread-ts";

const OPTIONS: readonly OptionSpec[] = [
  { name: "title", type: "string", description: "A name for the app, shown below each message" },
  { name: "url", type: "url", description: "Where the title links to" },
  QUIET,
  {
    name: "thread",
    type: "boolean",
    description: `Reply in the thread whose timestamp the release has in ${THREAD_FILE}; errors go to the channel, too`,
  },
];

/** What a Slack notifier URL says. */
export interface SlackLocator {
  /** The channel's name or ID, without a leading `#`. */
  channel: string;
  /** The app's name; empty: none. */
  title: string;
  /** The title's link; empty: none. */
  url: string;
  /** Whether to reply in the release's thread. */
  thread: boolean;
}

/** Slack, by a bot token. */
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
      description: "A bot token with the scope chat:write",
      secret: true,
      value: "token",
    },
    {
      name: "SLACK_API_URL",
      description: `Another address of the API than ${API}`,
      secret: false,
    },
  ],
  open: openSlack,
};

/**
 * Reads `slack://channel?title=&url=&thread=`. A `/` around the channel and a leading `%23` are dropped.
 *
 * @param url the URL, taken apart.
 * @returns what it says.
 * @throws ConfigError for an unknown option or without a channel.
 */
export function parseSlackUrl(url: SplitUrl): SlackLocator {
  const query = readQuery(url, OPTIONS, "--notifier");
  const channel = decodePath(url.host + url.path, url, "--notifier").replace(/^[/#]+|\/+$/g, "");
  const problem = channelProblem(channel);
  if (problem !== undefined) {
    throw new ConfigError(`Cannot use --notifier "${redactUrl(url.text)}": ${problem}: ${SYNTAX}`);
  }
  return {
    channel,
    title: query.text("title"),
    url: query.text("url"),
    thread: query.flag("thread"),
  };
}

function channelProblem(channel: string): string | undefined {
  if (channel === "") return "channel is required";
  return channel.includes("@") ? "a token does not belong in a URL; set SLACK_TOKEN" : undefined;
}

function openSlack(url: SplitUrl, io: NotifierIo): Notifier | undefined {
  const locator = parseSlackUrl(url);
  const token = io.env.SLACK_TOKEN ?? "";
  if (token === "") {
    io.emit({
      type: "warning",
      message: "No notifications: slack token is required; set SLACK_TOKEN",
      important: true,
    });
    return undefined;
  }
  return createSlack(locator, token, io);
}

function createSlack(locator: SlackLocator, token: string, io: NotifierIo): Notifier {
  const http = createHttpClient({ ...io, retries: 0 });
  const address = `${(io.env.SLACK_API_URL || API).replace(/\/*$/, "/")}chat.postMessage`;
  let threadTs = "";
  return {
    send: async (notification, signal) => {
      const attachment = slackAttachment(notification, locator, io.host, io.clock.now());
      const form = new URLSearchParams({
        channel: locator.channel,
        username: "Dewy",
        icon_url: ICON,
        attachments: JSON.stringify([attachment]),
        ...(threadTs === "" ? {} : { thread_ts: threadTs }),
        ...(threadTs !== "" && notification.kind === "error" ? { reply_broadcast: "true" } : {}),
      });
      // https://api.slack.com/methods/chat.postMessage
      const { text } = await http.text({
        method: "POST",
        url: address,
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
      threadTs = locator.thread ? await readThread(directory, io) : "";
    },
  };
}

/** A release without the file is reported to the channel, not to the thread of the one before. */
async function readThread(directory: string, io: NotifierIo): Promise<string> {
  if (io.readTextFile === undefined) return "";
  try {
    const text = (await io.readTextFile(`${directory}/${THREAD_FILE}`)).trim();
    return /^\d+\.\d+$/.test(text) ? text : "";
  } catch {
    return "";
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
const PASSING_ERRORS = new Set([
  "ratelimited",
  "internal_error",
  "fatal_error",
  "service_unavailable",
]);

/** Slack answers 200 and says inside whether it worked. https://api.slack.com/web#responses */
function checkAnswer(text: string, channel: string): void {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (cause) {
    throw new RemoteError("Cannot send to Slack: the answer is not JSON", {
      cause,
      retryable: false,
    });
  }
  const { ok, error } = (answer ?? {}) as { ok?: unknown; error?: unknown };
  if (ok === true) return;
  const code = typeof error === "string" ? error : "unknown error";
  const message = `Cannot send to Slack channel "${channel}": ${code}`;
  if (CREDENTIAL_ERRORS.has(code)) throw new CredentialError(`${message}; check SLACK_TOKEN`);
  throw new RemoteError(message, { retryable: PASSING_ERRORS.has(code) });
}
