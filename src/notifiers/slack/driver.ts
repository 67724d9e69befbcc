import { secretVariable, variable } from "../../core/environment.ts";
import { ConfigError } from "../../core/error.ts";
import {
  decodePath,
  type OptionSpec,
  option,
  readQuery,
  redactUrl,
  type SplitUrl,
} from "../../core/url.ts";
import type { Notifier, NotifierContext, NotifierDriver } from "../driver.ts";
import type { SlackClient } from "./client.ts";
import { readSlackOptions, SLACK_API, SLACK_OPTIONS, type SlackLocator } from "./locator.ts";

const SYNTAX = "slack://<channel>";
const THREAD_FILE = ".slack-thread-ts";

const OPTIONS: readonly OptionSpec[] = [
  ...SLACK_OPTIONS,
  option(
    "thread",
    `Reply in the thread whose timestamp is in the release's ${THREAD_FILE}; errors are also sent to the channel`,
    "boolean",
  ),
];

export const slack: NotifierDriver = {
  scheme: "slack",
  name: "Slack",
  syntax: SYNTAX,
  example: "slack://deploy?title=myapp&url=https://example.com",
  sites: ["slack.com"],
  options: OPTIONS,
  credentialPrefixes: ["SLACK_"],
  environment: [
    secretVariable("SLACK_TOKEN", "Bot token with the scope chat:write", "token"),
    variable("SLACK_API_URL", `URL of the API (default: ${SLACK_API})`),
  ],
  open: openSlack,
};

/** Reads `slack://channel?title=&url=&mention=&thread=`. A `/` around the channel and a leading `%23` are dropped. */
export function parseSlackUrl(url: SplitUrl): SlackLocator {
  const query = readQuery(url, OPTIONS, "--notifier");
  const channel = decodePath(url.host + url.path, url, "--notifier").replace(/^[/#]+|\/+$/g, "");
  const problem = channelProblem(channel);
  if (problem !== undefined) {
    throw new ConfigError(
      `Invalid value for --notifier "${redactUrl(url.text)}": ${problem}: ${SYNTAX}`,
    );
  }
  return { ...readSlackOptions(query), channel, thread: query.flag("thread") };
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
  let threadTs: string | undefined;
  let client: Promise<SlackClient> | undefined;
  return {
    send: async (notification, signal) => {
      client ??= import("./client.ts").then(({ slackClient }) =>
        slackClient(locator, token, context),
      );
      return (await client)(notification, threadTs, signal);
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
