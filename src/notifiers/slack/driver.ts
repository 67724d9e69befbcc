import { ConfigError } from "../../core/error.ts";
import {
  decodePath,
  type OptionSpec,
  readQuery,
  redactUrl,
  type SplitUrl,
} from "../../core/url.ts";
import { type Notifier, type NotifierDriver, type NotifierIo, QUIET } from "../driver.ts";
import type { SlackClient } from "./client.ts";
import { SLACK_API, type SlackLocator } from "./locator.ts";

const SYNTAX = "slack://<channel>";
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
      description: `Another address of the API than ${SLACK_API}`,
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
  let threadTs = "";
  let client: Promise<SlackClient> | undefined;
  return {
    send: async (notification, signal) => {
      client ??= import("./client.ts").then(({ slackClient }) => slackClient(locator, token, io));
      return (await client)(notification, threadTs, signal);
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
