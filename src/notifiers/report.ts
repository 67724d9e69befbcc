import type { JournalEntry } from "../journal/entry.ts";
import type { Notification, NotifierContext } from "./driver.ts";
import { plainText } from "./rich_text.ts";

/** A notification for programs. Its schema is docs/reference/notification.schema.json. */
export interface Report {
  version: 1;
  /** The same for every attempt to deliver it. */
  id: string;
  /** When it happened, in ISO 8601. */
  at: string;
  event: string;
  kind: Notification["kind"];
  /** For people, in plain text. */
  text: string;
  host: string;
  app: string;
  mode: string;
  registry: string;
  directory: string;
  entry: JournalEntry;
}

export function reportOf(
  { id, kind, text, entry }: Notification,
  { host, instance }: Pick<NotifierContext, "host" | "instance">,
): Report {
  return {
    version: 1,
    id,
    at: entry.at,
    event: entry.event,
    kind,
    text: plainText(text),
    host: host.name,
    app: instance.name,
    mode: instance.mode,
    registry: instance.registry,
    directory: instance.directory,
    entry,
  };
}
