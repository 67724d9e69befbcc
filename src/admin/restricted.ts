import type { JournalEntry } from "../journal/entry.ts";

/** Operators' messages, and the output of apps and hooks. */
const PRIVATE: ReadonlySet<string> = new Set(["message", "lastLines", "stdout", "stderr"]);

/** Returns a copy of a status or an entry without log lines and operators' messages. */
export function restricted<T extends object>(subject: T): T {
  return copyOf(subject) as T;
}

/** The command of a hook is not what an operator has typed: it can contain anything. */
export function restrictedEntry(entry: JournalEntry): JournalEntry {
  const { command, ...rest } = restricted(entry);
  return entry.event === "hook" || command === undefined ? rest : { ...rest, command };
}

function copyOf(value: unknown): unknown {
  if (typeof value === "string") return withoutOutput(value);
  if (Array.isArray(value)) return value.map(copyOf);
  if (typeof value !== "object" || value === null) return value;
  const shown = Object.entries(value).filter(([name]) => !PRIVATE.has(name));
  return Object.fromEntries(shown.map(([name, one]) => [name, copyOf(one)]));
}

/** Reasons quote the last lines of the app, as `withLastLines` puts them there. */
function withoutOutput(text: string): string {
  return text.replace(/; it wrote: [\s\S]*/, "");
}
