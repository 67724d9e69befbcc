/**
 * dewy's own directories. Often dewy is root while the app's user may write to the working directory, and could put a
 * link to any other place there.
 *
 * @module
 */
import { chmod, lstat, mkdir, readlink, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HostError } from "../../core/error.ts";
import { hostError, systemCode } from "./atomic_file.ts";

/** As many as Linux follows: https://man7.org/linux/man-pages/man7/path_resolution.7.html. */
const MAX_LINKS = 40;

/**
 * Makes a directory unless it exists, and finds its real path. Links on the way are followed only if root or dewy's
 * own user made them.
 *
 * @param path the absolute path; missing parents are made, too.
 * @param mode its permissions if it is made, whatever the umask is. Defaults to what the umask leaves of 0777.
 * @returns the path without links.
 * @throws HostError for a link of another user, or when it cannot be made.
 */
export async function ownDirectory(path: string, mode?: number): Promise<string> {
  try {
    return await resolve(path, (missing) => make(missing, missing === path ? mode : undefined));
  } catch (cause) {
    throw hostError(`make ${path}`, cause);
  }
}

/**
 * Finds the real path of a directory that may not exist, by the rules of {@link ownDirectory}.
 *
 * @param path the absolute path.
 * @returns the path without links; `undefined` if it does not exist.
 * @throws HostError for a link of another user.
 */
export async function findOwnDirectory(path: string): Promise<string | undefined> {
  try {
    return await resolve(path);
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return undefined;
    throw hostError(`open ${path}`, cause);
  }
}

async function resolve(path: string, onMissing?: (path: string) => Promise<void>): Promise<string> {
  if (process.getuid === undefined) return await resolveWithoutUsers(path, onMissing);
  const todo = path.split("/").reverse();
  let at = "/";
  let links = 0;
  /** How many of the names that are left were not read from a link. */
  let plain = todo.length;
  while (todo.length > 0) {
    const name = todo.pop();
    const isPlain = todo.length < plain;
    plain = Math.min(plain, todo.length);
    if (name === undefined || name === "" || name === ".") continue;
    if (name === "..") {
      at = dirname(at);
      continue;
    }
    const next = join(at, name);
    // What a link leads to is not made: a disk that is not mounted must not be replaced by a directory.
    const target = await linkTarget(next, isPlain ? onMissing : undefined);
    if (target === undefined) {
      at = next;
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) throw new HostError(`Cannot use ${path}: it has too many links`);
    if (target.startsWith("/")) at = "/";
    todo.push(...target.split("/").reverse());
  }
  return at;
}

async function linkTarget(
  path: string,
  onMissing: ((path: string) => Promise<void>) | undefined,
): Promise<string | undefined> {
  const status = await lstat(path).catch(async (error: unknown) => {
    if (systemCode(error) !== "ENOENT" || onMissing === undefined) throw error;
    await onMissing(path);
    return await lstat(path);
  });
  if (!status.isSymbolicLink()) return undefined;
  if (status.uid !== 0 && status.uid !== process.getuid?.()) {
    throw new HostError(
      `Cannot use ${path}: it is a symbolic link that user ${status.uid} made, and could lead anywhere; ` +
        "remove it, or make it again as the user that dewy runs as",
      { fault: "operator", retryable: false },
    );
  }
  return await readlink(path);
}

async function make(path: string, mode: number | undefined): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (systemCode(error) === "EEXIST") return;
    throw error;
  }
  if (mode !== undefined) await chmod(path, mode);
}

async function resolveWithoutUsers(
  path: string,
  onMissing: ((path: string) => Promise<void>) | undefined,
): Promise<string> {
  if (onMissing !== undefined) await mkdir(path, { recursive: true });
  return await realpath(path);
}

/**
 * Finds the directories that users other than root can write to.
 *
 * @param paths directories; one that does not exist is left out.
 * @returns each with the reason: `/opt/app (owner 1000)`.
 */
export async function writableByOthers(paths: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(
    paths.map(async (path) => {
      const status = await stat(path).catch(() => undefined);
      if (status === undefined) return [];
      const { uid, gid, mode } = status;
      if (uid !== 0) return [`${path} (owner ${uid})`];
      if ((mode & 0o002) !== 0) return [`${path} (everybody)`];
      return (mode & 0o020) !== 0 && gid !== 0 ? [`${path} (group ${gid})`] : [];
    }),
  );
  return found.flat();
}
