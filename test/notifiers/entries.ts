import { redactor } from "../../src/agent/redactor.ts";
import type { Clock } from "../../src/core/clock.ts";
import type { Environment } from "../../src/core/environment.ts";
import type { DewyEvent } from "../../src/core/event.ts";
import type { JournalEntry } from "../../src/journal/entry.ts";
import { Recorder } from "../../src/journal/recorder.ts";
import type { Notification } from "../../src/notifiers/driver.ts";
import { fakeClock } from "../fakes/clock.ts";

/** The entries that the journal makes of some events. */
export function entriesOf(
  events: readonly DewyEvent[],
  { clock, env = {} }: { clock: Clock; env?: Environment } = { clock: fakeClock() },
): JournalEntry[] {
  const recorder = new Recorder(clock, redactor(env));
  return events.flatMap((event) => recorder.record(event)?.entry ?? []);
}

export function entryOf(event: DewyEvent): JournalEntry | undefined {
  return entriesOf([event])[0];
}

export const AT = "2026-01-01T00:00:00.000Z";

/** A notification with this text, whatever its entry. */
export function note(text: Notification["text"], more: Partial<Notification> = {}): Notification {
  return { id: "n-1", kind: "message", text, entry: { at: AT, event: "test" }, ...more };
}
