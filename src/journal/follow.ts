import { type FSWatcher, watch } from "node:fs";
import { type Clock, systemClock } from "../core/clock.ts";
import { abortWith } from "../core/timeout.ts";
import type { JournalEntry } from "./entry.ts";
import {
  closeJournalFiles,
  journalDirectory,
  type OpenJournalFile,
  openJournalFiles,
} from "./file.ts";
import { EntryReader } from "./read.ts";

/** Not every file system reports changes. */
const POLL_MS = 1000;

/**
 * Reads the journal and what is added to it, until the signal is aborted. The first batch has all entries so far, and may
 * be empty; the others have at least one.
 */
export async function* followJournal(
  root: string,
  signal: AbortSignal,
  clock: Clock = systemClock,
): AsyncGenerator<readonly JournalEntry[], void, undefined> {
  const tail = new JournalTail(root);
  const changes = new DirectoryChanges(journalDirectory(root));
  try {
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      // Before reading, so that no change is missed.
      changes.start();
      const entries = await tail.read();
      if (isFirst || entries.length > 0) yield entries;
      await changes.wait(POLL_MS, clock, signal);
    }
  } finally {
    changes.stop();
    await tail.close();
  }
}

interface Followed extends OpenJournalFile {
  reader: EntryReader;
}

/** Keeps the files open: they can be rotated, and no new file gets the identity of a removed one. */
class JournalTail {
  readonly #root: string;
  #files: readonly Followed[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  /** Returns the new entries, oldest first. */
  async read(): Promise<readonly JournalEntry[]> {
    const present = await this.#open();
    const removed = this.#files.filter((one) => !present.includes(one));
    this.#files = [...removed, ...present];
    const entries: JournalEntry[] = [];
    for (const { reader } of this.#files) {
      for await (const entry of reader.read()) entries.push(entry);
    }
    this.#files = present;
    await closeJournalFiles(removed);
    return entries;
  }

  async close(): Promise<void> {
    await closeJournalFiles(this.#files);
    this.#files = [];
  }

  async #open(): Promise<readonly Followed[]> {
    const present: Followed[] = [];
    for (const file of await openJournalFiles(this.#root)) {
      const known = this.#files.find(({ identity }) => identity === file.identity);
      if (known !== undefined) await file.handle.close();
      present.push(known ?? { ...file, reader: new EntryReader(file.handle) });
    }
    return present;
  }
}

/** Watches a directory as well as the system can. */
class DirectoryChanges {
  readonly #path: string;
  #watcher: FSWatcher | undefined;
  #hasChanged = false;
  #wake = (): void => {};

  constructor(path: string) {
    this.#path = path;
  }

  /** Does nothing if the directory is watched or does not exist yet. */
  start(): void {
    this.#hasChanged = false;
    if (this.#watcher !== undefined) return;
    try {
      this.#watcher = watch(this.#path, () => this.#change());
      this.#watcher.on("error", () => this.stop());
    } catch {
      // The fallback is to poll.
    }
  }

  stop(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  /** Resolves after a change since {@link start}, at the latest after `ms` or when the signal is aborted. */
  async wait(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
    if (this.#hasChanged) return;
    const done = new AbortController();
    const detach = abortWith(done, signal);
    this.#wake = () => done.abort();
    await clock.sleep(ms, done.signal).catch(() => {});
    detach();
  }

  #change(): void {
    this.#hasChanged = true;
    this.#wake();
  }
}
