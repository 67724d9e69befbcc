import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { entryLine, type JournalEntry } from "../../src/journal/entry.ts";
import { type JournalFile, journalFile } from "../../src/journal/file.ts";
import { readJournal } from "../../src/journal/read.ts";

export function journalPath(root: string, rotation?: number): string {
  const name = rotation === undefined ? "journal.jsonl" : `journal.${rotation}.jsonl`;
  return join(root, ".dewy", name);
}

export async function entriesOf(root: string): Promise<JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for await (const entry of readJournal(root)) entries.push(entry);
  return entries;
}

/** The tags of the entries, in order. */
export async function tagsOf(root: string): Promise<(string | undefined)[]> {
  return (await entriesOf(root)).map(({ tag }) => tag);
}

export function entry(tag: string, more: Partial<JournalEntry> = {}): JournalEntry {
  return { at: "2026-01-02T03:04:05.678Z", event: "deployed", tag, ...more };
}

/** Appends one entry for each tag. */
export async function append(
  target: string | JournalFile,
  ...tags: readonly string[]
): Promise<void> {
  const file = typeof target === "string" ? journalFile(target) : target;
  await file.append(
    tags.map((tag) => entryLine(entry(tag))),
    true,
    () => {},
  );
}

export async function cut(path: string, bytes: Uint8Array, length: number): Promise<void> {
  await writeFile(path, bytes.subarray(0, length));
}
