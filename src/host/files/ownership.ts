import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir, readlink, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

interface Owner {
  uid: number;
  gid: number;
}

/**
 * Gives a file that root has just created to the owner of its directory, so that a dewy that runs as that user can still
 * read its files after root has worked there.
 *
 * The owner of a directory can exchange it, and everything in it, at any time. So the file is changed through its
 * descriptor, and only if the kernel says that it is where it should be: a symbolic link in the path could have led
 * root to any other place. Where there is no `/proc`, nothing changes.
 */
export async function giveToOwner(file: FileHandle, path: string): Promise<void> {
  const owner = await otherOwnerOf(dirname(path));
  if (owner !== undefined && (await isAt(file, path))) await give(file, owner);
}

/** Like {@link giveToOwner}, for a directory that root has just created. */
export async function giveDirectoryToOwner(path: string): Promise<void> {
  const made = await openMadeDirectory(path);
  if (made === undefined) return;
  try {
    await give(made.directory, made.owner);
  } finally {
    await made.directory.close();
  }
}

/** A directory that root has created and fills, and that is for another user. */
export interface MadeDirectory {
  directory: FileHandle;
  owner: Owner;
}

/**
 * Returns `undefined` if its parent does not belong to another user. A directory that has content by now is not the one
 * that root has made.
 */
export async function openMadeDirectory(path: string): Promise<MadeDirectory | undefined> {
  const owner = await otherOwnerOf(dirname(path));
  if (owner === undefined) return undefined;
  const directory = await openDirectory(path);
  if (directory === undefined) return undefined;
  const isMade = (await isAt(directory, path)) && (await readdir(anchor(directory))).length === 0;
  if (isMade && (await directory.stat()).uid === 0) return { directory, owner };
  await directory.close();
  return undefined;
}

/**
 * Gives a filled directory with all its files to the user, from the leaves up: until then, only root can change it. Where
 * every user can create files, none is given: it may be another one of root's, moved there.
 */
export async function giveTree({ directory, owner }: MadeDirectory): Promise<void> {
  if (((await directory.stat()).mode & 0o002) !== 0) return;
  for (const entry of await readdir(anchor(directory), { withFileTypes: true })) {
    const path = join(anchor(directory), entry.name);
    if (entry.isDirectory()) {
      const child = await openDirectory(path);
      if (child === undefined) continue;
      await giveTree({ directory: child, owner }).finally(() => child.close());
    } else if (entry.isFile()) {
      const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      await give(file, owner).finally(() => file.close());
    }
  }
  await give(directory, owner);
}

async function otherOwnerOf(directory: string): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = await lstat(directory);
  return uid === 0 ? undefined : { uid, gid };
}

async function openDirectory(path: string): Promise<FileHandle | undefined> {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  return await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(() => undefined);
}

/** Leads to the open file or directory itself, whatever has become of its path. */
function anchor({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`;
}

async function isAt(file: FileHandle, path: string): Promise<boolean> {
  try {
    const [own, anchored] = await Promise.all([file.stat(), stat(anchor(file))]);
    const isSame = own.ino === anchored.ino && own.dev === anchored.dev;
    return isSame && (await readlink(anchor(file))) === path;
  } catch {
    return false;
  }
}

/** Root in a container, or on a network file system, may not be allowed to; then the file stays as it is. */
async function give(file: FileHandle, { uid, gid }: Owner): Promise<void> {
  await file.chown(uid, gid).catch(() => {});
}
