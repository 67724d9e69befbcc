import type { Notification, NotifierContext } from "./driver.ts";
import { plainText } from "./rich_text.ts";

export type Report = ReturnType<typeof reportOf>;

/** A notification for programs. Its schema is docs/reference/notification.schema.json. */
export function reportOf(
  { id, kind, text, entry }: Notification,
  { host, instance }: Pick<NotifierContext, "host" | "instance">,
) {
  return {
    version: 1 as const,
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
