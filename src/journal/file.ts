import { constants } from "node:fs";
import { type FileHandle, open, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { HostError } from "../core/error.ts";
import { hostError, openOwnFile, syncDirectory, systemCode } from "../host/files/atomic_file.ts";
import { findOwnDirectory, ownDirectory } from "../host/files/own_directory.ts";
import { giveToOwner } from "../host/files/ownership.ts";

const MAX_FILE_BYTES = 1024 * 1024;
/** The number of files, the rotated ones included. */
const FILES = 4;

/** The file that is written, then the rotated ones, newest first. */
const NAMES = Array.from({ length: FILES }, (_, number) =>
  number === 0 ? "journal.jsonl" : `journal.${number}.jsonl`,
);

export function journalDirectory(root: string): string {
  return join(root, ".dewy");
}

/** Appends lines to the journal of a working directory, one write each, and rotates it. */
export interface JournalFile {
  /** @param sync whether to wait until the lines are on the disk. Calls `onWritten` after each line. */
  append(lines: readonly Buffer[], sync: boolean, onWritten: (line: Buffer) => void): Promise<void>;
}

/**
 * The file is opened for each batch of lines: the operator may move it away, and another dewy may rotate it by mistake.
 */
export function journalFile(root: string, maxFileBytes: number = MAX_FILE_BYTES): JournalFile {
  return {
    append: async (lines, sync, onWritten) => {
      const path = join(journalDirectory(root), "journal.jsonl");
      try {
        const directory = await ownDirectory(journalDirectory(root), 0o755);
        for (let rest = lines; rest.length > 0; ) {
          rest = await appendSome(directory, rest, sync, { maxFileBytes, onWritten });
        }
      } catch (cause) {
        throw hostError(`write ${path}`, cause);
      }
    },
  };
}

/** Appends lines until the file is full, and returns the rest. */
async function appendSome(
  directory: string,
  lines: readonly Buffer[],
  sync: boolean,
  { maxFileBytes, onWritten }: { maxFileBytes: number; onWritten: (line: Buffer) => void },
): Promise<readonly Buffer[]> {
  const path = join(directory, "journal.jsonl");
  const file = await openForAppend(path);
  const { size: sizeBefore, ino } = await file.stat();
  let size = sizeBefore;
  let written = 0;
  let isFull = false;
  try {
    if (size > 0 && !(await endsWithNewline(file, size))) {
      // A crash or a full disk has torn the last line. It stays, as a line that readers skip.
      await write(file, Buffer.from("\n"));
      size += 1;
    }
    for (const line of lines) {
      isFull = size > 0 && size + line.length > maxFileBytes;
      if (isFull) break;
      await write(file, line);
      size += line.length;
      written += 1;
      onWritten(line);
    }
    if (sync) await file.sync();
    if (sync && sizeBefore === 0) await syncDirectory(directory);
  } finally {
    await file.close();
  }
  // Another dewy may have rotated it in the meantime.
  if (isFull && (await inodeOf(path)) === ino) await rotate(directory);
  return lines.slice(written);
}

/** Another user may have put anything in its place: a symbolic link is not followed, a FIFO does not block. */
async function openForAppend(path: string): Promise<FileHandle> {
  const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = constants;
  const flags = O_RDWR | O_CREAT | O_APPEND | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0);
  const file = await open(path, flags, 0o600).catch((cause: unknown) => {
    throw systemCode(cause) === "ELOOP" ? notAFile(path, "a symbolic link") : cause;
  });
  const status = await file.stat();
  if (status.isFile() && status.size === 0 && status.nlink === 1) await giveToOwner(file, path);
  if (status.isFile()) return file;
  await file.close();
  throw notAFile(path, "not a regular file");
}

function notAFile(path: string, what: string): HostError {
  return new HostError(`Cannot write ${path}: it is ${what}; remove it`, {
    fault: "operator",
  });
}

async function endsWithNewline(file: FileHandle, size: number): Promise<boolean> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return bytesRead === 1 && buffer[0] === 0x0a;
}

/** One system call, so that lines of two processes do not mix. */
async function write(file: FileHandle, bytes: Buffer): Promise<void> {
  const { bytesWritten } = await file.write(bytes, 0, bytes.length);
  // The rest would fail.
  if (bytesWritten < bytes.length)
    throw Object.assign(new Error("short write"), { code: "ENOSPC" });
}

async function rotate(directory: string): Promise<void> {
  const paths = NAMES.map((name) => join(directory, name));
  for (let number = paths.length - 1; number > 0; number--) {
    const [from = "", to = ""] = paths.slice(number - 1, number + 1);
    await rename(from, to).catch((cause: unknown) => {
      if (systemCode(cause) !== "ENOENT") throw cause;
    });
  }
  await syncDirectory(directory);
}

async function inodeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.ino;
}

/** A file of the journal that is open for reading. */
export interface OpenJournalFile {
  handle: FileHandle;
  /** Equal for the same file, even after a rotation has renamed it. */
  identity: string;
}

/**
 * Opens the files of the journal, oldest first. A rotation meanwhile hides none of them: it moves each file up by one, and
 * so they are opened upward. Symbolic links and other foreign things are skipped.
 */
export async function openJournalFiles(root: string): Promise<readonly OpenJournalFile[]> {
  const found: OpenJournalFile[] = [];
  try {
    const directory = await findOwnDirectory(journalDirectory(root));
    if (directory === undefined) return [];
    for (const name of NAMES) {
      const file = await openForReading(join(directory, name));
      if (file === undefined) continue;
      if (found.some(({ identity }) => identity === file.identity)) await file.handle.close();
      else found.unshift(file);
    }
    return found;
  } catch (cause) {
    await closeJournalFiles(found);
    throw cause;
  }
}

export async function closeJournalFiles(files: readonly OpenJournalFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}

async function openForReading(path: string): Promise<OpenJournalFile | undefined> {
  try {
    const handle = await openOwnFile(path);
    const status = await handle.stat();
    if (status.isFile()) return { handle, identity: `${status.dev}:${status.ino}` };
    await handle.close();
    return undefined;
  } catch (cause) {
    if (["ENOENT", "ELOOP", "ENXIO"].includes(systemCode(cause) ?? "")) return undefined;
    throw hostError(`read ${path}`, cause);
  }
}
