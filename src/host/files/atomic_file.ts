import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DewyError, HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";

/**
 * Replaces a file, whole or not at all: a temporary file beside it is written, synced and renamed over it.
 *
 * @param path the file.
 * @param text its new content.
 * @throws HostError with the system's reason; the old content is still there.
 */
export async function writeFileAtomic(path: string, text: string): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    const file = await createFile(temporary, 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw hostError(`write ${path}`, cause);
  }
}

/**
 * Creates a file, and never opens one that exists: a link in its place is not followed.
 *
 * @param path the file.
 * @param mode its permissions, less what the umask takes away.
 * @returns the file, to be read and written.
 */
export async function createFile(path: string, mode: number): Promise<FileHandle> {
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  return await open(path, O_RDWR | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0), mode);
}

const TEMPORARY = /\.[0-9a-f]{16}\.tmp$/;

/**
 * A name beside a file that cannot be foreseen.
 *
 * @param path the file.
 * @returns the path of a temporary file, which {@link removeTemporaries} finds again.
 */
export function temporaryPath(path: string): string {
  return `${path}.${randomBytes(8).toString("hex")}.tmp`;
}

/**
 * Removes the temporary files and links that a killed process left.
 *
 * @param path the file they were made for.
 */
export async function removeTemporaries(path: string): Promise<void> {
  const directory = dirname(path);
  for (const name of await readdir(directory).catch(() => [])) {
    const temporary = join(directory, name);
    if (!TEMPORARY.test(name) || temporary.replace(TEMPORARY, "") !== path) continue;
    await unlink(temporary).catch(() => {});
  }
}

/**
 * Makes renames and removals in a directory durable, where the system can.
 *
 * @param path the directory.
 */
export async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch {
    // Not every file system or runtime can sync a directory; the rename itself is atomic all the same.
  }
}

/**
 * Opens a file to read it. Another user may have put something else in its place, so a link is not
 * followed (`ELOOP`), and a FIFO without a writer does not block.
 */
export async function openOwnFile(path: string): Promise<FileHandle> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  return await open(path, O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0));
}

/**
 * Reads a file that dewy wrote. A link, a FIFO or anything else in its place counts as an empty file.
 *
 * @param path the file.
 * @returns its text, or `undefined` when there is no such file.
 * @throws HostError when it is there and cannot be read.
 */
export async function readOwnFileIfPresent(path: string): Promise<string | undefined> {
  try {
    const file = await openOwnFile(path);
    try {
      return (await file.stat()).isFile() ? await file.readFile("utf8") : "";
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return undefined;
    if (systemCode(cause) === "ELOOP") return "";
    throw hostError(`read ${path}`, cause);
  }
}

/**
 * The system's short code of an error: `ENOENT`, `ENOSPC`, …
 *
 * @param error anything that was thrown.
 * @returns the code, or `undefined`.
 */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space",
  EDQUOT: "the disk quota is used up",
  EACCES: "permission denied; check who dewy runs as",
  EPERM: "not permitted; check who dewy runs as",
  EROFS: "the file system is read-only",
  ENOENT: "no such file or directory",
  ENOTDIR: "a part of the path is no directory",
  EISDIR: "it is a directory",
  ELOOP: "too many symbolic links",
  EMFILE: "dewy has too many open files",
  ENFILE: "this machine has too many open files",
};

/**
 * Says in words why the system refused, without the path, which the caller names.
 *
 * @param error an error of the file system, or of a program that could not be started.
 */
export function systemReason(error: unknown): string {
  const known = REASONS[systemCode(error) ?? ""];
  if (known !== undefined) return known;
  // Node's form: "EIO: i/o error, read '/path'".
  const [, text] = /^E[A-Z0-9]+: ([^,]+)/.exec(messageOf(error)) ?? [];
  return text ?? messageOf(error);
}

/**
 * Translates an error of the file system.
 *
 * @param action what was tried: `write /opt/app/.dewy/state.json`.
 * @param cause the system's error; one of dewy's own is given back as it is.
 * @returns the error to throw.
 */
export function hostError(action: string, cause: unknown): DewyError {
  if (cause instanceof DewyError) return cause;
  const code = systemCode(cause);
  const shown = code === undefined ? "" : ` (${code})`;
  return new HostError(`Cannot ${action}: ${systemReason(cause)}${shown}`, { cause });
}
