import { ConfigError } from "../../core/error.ts";
import { type OptionSpec, option, type QueryReader } from "../../core/url.ts";
import { APP_OPTIONS, type AppLink, readAppLink } from "../chat_options.ts";

/** The options of the bot and of webhooks. */
export interface SlackOptions extends AppLink {
  /** The markup of the mention in failures. */
  mention: string | undefined;
}

export interface SlackLocator extends SlackOptions {
  /** The channel's name or ID, without a leading `#`. */
  channel: string;
  /** Whether to reply in the release's thread. */
  thread: boolean;
}

export const SLACK_API = "https://slack.com/api/";

export const SLACK_OPTIONS: readonly OptionSpec[] = [
  ...APP_OPTIONS,
  option("mention", "Mentioned by failures: here, channel, or the ID of a user or a user group"),
];

export function readSlackOptions(options: QueryReader): SlackOptions {
  return { ...readAppLink(options), mention: readMention(options.text("mention")) };
}

/** https://docs.slack.dev/messaging/formatting-message-text#advanced */
function readMention(text: string): string | undefined {
  if (text === "") return undefined;
  if (/^(here|channel|everyone)$/.test(text)) return `<!${text}>`;
  if (/^[UW][A-Z0-9]+$/.test(text)) return `<@${text}>`;
  if (/^S[A-Z0-9]+$/.test(text)) return `<!subteam^${text}>`;
  throw new ConfigError(
    `Invalid value for --notifier: mention=${text} is not here, channel, or the ID of a user or a user group`,
  );
}
