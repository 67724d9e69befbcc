import type { InstanceStatus } from "../../control/protocol.ts";
import type { JournalEntry } from "../../journal/entry.ts";

/** Everything that the status page shows. */
export interface PageView {
  status: InstanceStatus;
  /** The recent entries of the journal, the latest last. */
  entries: readonly JournalEntry[];
  /** The last lines of the app's output, oldest first; absent without an app, and if `isRestricted`. */
  appLines?: readonly string[] | undefined;
  /** The last lines of dewy's own log, oldest first; absent if `isRestricted`. */
  ownLines?: readonly string[] | undefined;
  /** Whether log lines and operators' messages are left out, because there is no `--admin-token-file`. */
  isRestricted: boolean;
  /** The name of this machine. */
  host?: string | undefined;
  /** In milliseconds since the Unix epoch. */
  now: number;
}

/**
 * The path of the server-sent events: events named `sections`, whose data is a JSON object with the new HTML of each
 * section that has changed, by its id. The first event has all sections. A section has changed if its `fingerprint`
 * has: times that pass do not count, because the page itself keeps them current.
 */
export const EVENTS_PATH = "/api/events";
export const SECTIONS_EVENT = "sections";
/** An event without content, sent if there was no other for `ALIVE_MS`. Without any, the page says that it is outdated. */
export const ALIVE_EVENT = "alive";
export const ALIVE_MS = 15_000;
