import type { FileHandle } from "node:fs/promises";
import { type JournalEntry, MAX_ENTRY_BYTES, parseEntry } from "./entry.ts";
import { closeJournalFiles, openJournalFiles } from "./file.ts";

const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/**
 * Reads the journal of a working directory, oldest entry first, as it is now. Torn and unknown lines are skipped. Without
 * a journal, it is empty.
 *
 * @param recentBytes Limits the reading to about the last bytes: as many of each of the last two files.
 */
export async function* readJournal(
  root: string,
  recentBytes?: number,
): AsyncGenerator<JournalEntry, void, undefined> {
  const files = await openJournalFiles(root);
  try {
    for (const { handle } of recentBytes === undefined ? files : files.slice(-2)) {
      const { size } = await handle.stat();
      yield* new EntryReader(handle, Math.max(0, size - (recentBytes ?? size))).read();
    }
  } finally {
    await closeJournalFiles(files);
  }
}

/** Reads the entries of one file, and continues where it has stopped. */
export class EntryReader {
  readonly #file: FileHandle;
  #position: number;
  /** The beginning of a line whose end was not read yet. */
  #line = Buffer.alloc(0);
  /** Whether the line is too long, so that the rest of it is skipped. */
  #isSkipping = false;

  /** @param position where to start, in bytes; the rest of a line counts as torn. */
  constructor(file: FileHandle, position = 0) {
    this.#file = file;
    this.#position = position;
  }

  /** Yields the entries up to the end of the file. */
  async *read(): AsyncGenerator<JournalEntry, void, undefined> {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await this.#file.read(chunk, 0, chunk.length, this.#position);
      if (bytesRead === 0) break;
      this.#position += bytesRead;
      yield* this.#split(chunk.subarray(0, bytesRead));
    }
    // A complete object is a complete entry even if its newline was lost: a part of an object is not valid JSON.
    const last = parseEntry(this.#line.toString());
    if (last === undefined) return;
    this.#line = Buffer.alloc(0);
    yield last;
  }

  *#split(bytes: Buffer): Generator<JournalEntry, void, undefined> {
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      this.#add(bytes.subarray(start, end));
      const entry = this.#isSkipping ? undefined : parseEntry(this.#line.toString());
      this.#line = Buffer.alloc(0);
      this.#isSkipping = false;
      start = end + 1;
      if (entry !== undefined) yield entry;
    }
    this.#add(bytes.subarray(start));
  }

  #add(bytes: Buffer): void {
    if (this.#isSkipping || bytes.length === 0) return;
    this.#isSkipping = this.#line.length + bytes.length > MAX_ENTRY_BYTES;
    this.#line = this.#isSkipping ? Buffer.alloc(0) : Buffer.concat([this.#line, bytes]);
  }
}
