import type { HookResult } from "../core/event.ts";
import type { JournalEntry } from "../journal/entry.ts";

/** The result of a hook as its entry has it, with shortened output; `undefined` for other entries. */
export function hookOf(entry: JournalEntry): HookResult | undefined {
  if (entry.event !== "hook") return undefined;
  const { when, command = "", exitCode = null, stdout = "", stderr = "" } = entry;
  const { durationMs = 0, timedOut = false } = entry;
  return {
    when: when === "after" ? "after" : "before",
    command,
    exitCode,
    stdout,
    stderr,
    durationMs,
    timedOut,
  };
}

export function hookTitle({ when }: Pick<HookResult, "when">): string {
  return when === "before" ? "Before Deploy Hook" : "After Deploy Hook";
}
