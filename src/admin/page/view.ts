import type { InstanceStatus } from "../../control/protocol.ts";
import type { JournalEntry } from "../../journal/entry.ts";

/** Everything that the status page shows. Secrets were removed from it, and so was what the reader may not see. */
export interface PageView {
  status: InstanceStatus;
  /** The journal's last entries, the latest last. */
  entries: readonly JournalEntry[];
  /** The last lines of the app's output, oldest first. */
  appLines?: readonly string[] | undefined;
  /** The last lines of dewy's own log, oldest first. */
  ownLines?: readonly string[] | undefined;
  /** The name of this machine. */
  host?: string | undefined;
  /** In milliseconds since the epoch. */
  now: number;
}
