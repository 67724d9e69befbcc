/**
 * An entry of the journal: one line of JSON about something that has happened. Readers ignore names and fields that they
 * do not know.
 *
 * @module
 */
import * as v from "valibot";

export const JournalEntry = v.looseObject({
  /** In ISO 8601. */
  at: v.string(),
  /** `deployed`, `rolled-back`, `failed`, `ordered`, … */
  event: v.string(),
  tag: v.exactOptional(v.string()),
  /** The version that was live before, or that a rollback returned to. */
  previousTag: v.exactOptional(v.string()),
  to: v.exactOptional(v.string()),
  reason: v.exactOptional(v.string()),
  /** The operator's command. */
  command: v.exactOptional(v.string()),
  /** The operator who asked for it. */
  user: v.exactOptional(v.string()),
  message: v.exactOptional(v.string()),
  durationMs: v.exactOptional(v.number()),
  /** The duration of each phase in milliseconds. */
  phases: v.exactOptional(v.record(v.string(), v.number())),
});
export type JournalEntry = v.InferOutput<typeof JournalEntry>;
