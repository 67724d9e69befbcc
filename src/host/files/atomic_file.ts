import { constants } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DewyError, HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { giveToOwner } from "./ownership.ts";

/** Writes and syncs a temporary file next to it, then renames that over it. */
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

/** Fails if the path exists, even as a symbolic link. The umask applies. If root creates it, see {@link giveToOwner}. */
export async function createFile(path: string, mode: number): Promise<FileHandle> {
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const file = await open(path, O_RDWR | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0), mode);
  try {
    await giveToOwner(file, path);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

const TEMPORARY = /\.[0-9a-f]{16}\.tmp$/;

/** An unpredictable path next to a file. {@link removeTemporaries} recognizes it. */
export function temporaryPath(path: string): string {
  const random = crypto.getRandomValues(Buffer.alloc(8));
  return `${path}.${random.toString("hex")}.tmp`;
}

/** Killed processes leave them. */
export async function removeTemporaries(path: string): Promise<void> {
  const directory = dirname(path);
  for (const name of await readdir(directory).catch(() => [])) {
    const temporary = join(directory, name);
    if (!TEMPORARY.test(name) || temporary.replace(TEMPORARY, "") !== path) continue;
    await unlink(temporary).catch(() => {});
  }
}

/** Makes renames and removals in a directory durable where the system supports that. */
export async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch {
    // Not every file system and runtime can sync a directory. The rename is atomic all the same.
  }
}

/** Another user may have replaced it: a symbolic link is not followed (`ELOOP`), a FIFO without a writer does not block. */
export async function openOwnFile(path: string): Promise<FileHandle> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  return await open(path, O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0));
}

/** A symbolic link, a FIFO or anything else in its place counts as an empty file. */
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

export function systemCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space",
  EDQUOT: "the disk quota is used up",
  EACCES: "permission denied; check the user that dewy runs as",
  EPERM: "not permitted; check the user that dewy runs as",
  EROFS: "the file system is read-only",
  ENOENT: "no such file or directory",
  ENOTDIR: "a part of the path is not a directory",
  EISDIR: "it is a directory",
  ELOOP: "too many symbolic links",
  EMFILE: "dewy has too many open files",
  ENFILE: "this machine has too many open files",
};

/** Explains an error of the file system or of `spawn`, without the path. */
export function systemReason(error: unknown): string {
  const known = REASONS[systemCode(error) ?? ""];
  if (known !== undefined) return known;
  // Node's form: "EIO: i/o error, read '/path'".
  const [, text] = /^E[A-Z0-9]+: ([^,]+)/.exec(messageOf(error)) ?? [];
  return text ?? messageOf(error);
}

/** `action` is such as `write /opt/app/.dewy/state.json`. A DewyError is returned unchanged. */
export function hostError(action: string, cause: unknown): DewyError {
  if (cause instanceof DewyError) return cause;
  const code = systemCode(cause);
  const shown = code === undefined ? "" : ` (${code})`;
  return new HostError(`Cannot ${action}: ${systemReason(cause)}${shown}`, { cause });
}
