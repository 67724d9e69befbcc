import type { InstanceStatus } from "../control/protocol.ts";
import type { JournalEntry } from "../journal/entry.ts";

/** An entry without log lines, the command line of a hook, and the operator's message. */
export function restrictedEntry(entry: JournalEntry): JournalEntry {
  const { message, lastLines, stdout, stderr, command, reason, ...rest } = entry;
  return {
    ...rest,
    ...(command !== undefined && entry.event !== "hook" && { command }),
    ...(reason !== undefined && { reason: withoutOutput(reason) }),
  };
}

/** A status without log lines and operators' messages. */
export function restrictedStatus(status: InstanceStatus): InstanceStatus {
  const { lastPoll, polls, bad, skipped, pinned, paused, order } = status;
  return {
    ...status,
    ...(lastPoll && { lastPoll: withoutError(lastPoll) }),
    ...(polls && { polls: polls.map(withoutError) }),
    bad: bad.map((one) => ({ ...one, reason: withoutOutput(one.reason) })),
    skipped: skipped.map(withoutMessage),
    ...(pinned && { pinned: withoutMessage(pinned) }),
    ...(paused && { paused: withoutMessage(paused) }),
    ...(order && { order: withoutMessage(order) }),
  };
}

function withoutMessage<T extends { message?: string | undefined }>(
  decision: T,
): Omit<T, "message"> {
  const { message, ...rest } = decision;
  return rest;
}

function withoutError<T extends { error?: string | undefined }>(poll: T): T {
  return poll.error === undefined ? poll : { ...poll, error: withoutOutput(poll.error) };
}

/** Reasons quote the last lines of the app, as `withLastLines` puts them there. */
function withoutOutput(reason: string): string {
  return reason.replace(/; it wrote: [\s\S]*/, "");
}
