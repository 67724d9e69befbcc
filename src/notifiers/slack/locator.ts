/** The address of Slack's API. */
export const SLACK_API = "https://slack.com/api/";

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
