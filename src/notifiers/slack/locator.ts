export interface SlackLocator extends AppLink {
  /** The channel's name or ID, without a leading `#`. */
  channel: string;
  /** Whether to reply in the release's thread. */
  thread: boolean;
}

/** The app's name and its link, for the footer of a message. */
export interface AppLink {
  title: string | undefined;
  url: string | undefined;
}

export const SLACK_API = "https://slack.com/api/";
