/** The options that the notifiers of chat services have in common. */
import { type OptionSpec, option, type QueryReader } from "../core/url.ts";
import { QUIET } from "./driver.ts";

/** The app's name and its link, for the footer of a message. */
export interface AppLink {
  title: string | undefined;
  url: string | undefined;
}

export const APP_OPTIONS: readonly OptionSpec[] = [
  option("title", "Name of the app, shown below each message"),
  option("url", "Link of the title", "url"),
  QUIET,
];

export function readAppLink(options: QueryReader): AppLink {
  return { title: options.text("title") || undefined, url: options.text("url") || undefined };
}
