import { chmod, lstat, mkdir, readlink, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HostError } from "../../core/error.ts";
import { hostError, systemCode } from "./atomic_file.ts";
import { giveDirectoryToOwner } from "./ownership.ts";

/** https://man7.org/linux/man-pages/man7/path_resolution.7.html */
const MAX_LINKS = 40;

/**
 * Creates a directory and its missing parents, and returns its real path. Symbolic links are followed only if root or
 * dewy's own user created them: dewy often runs as root while the user of the app can write to the working directory, and
 * could put a link to any other place there. `mode` applies regardless of the umask; it defaults to 0777 minus the umask.
 * What root creates in the directory of another user becomes that user's, except if `isPrivate`.
 */
export async function ownDirectory(
  path: string,
  mode?: number,
  { isPrivate = false }: { isPrivate?: boolean } = {},
): Promise<string> {
  try {
    return await resolve(path, async (missing) => {
      await make(missing, missing === path ? mode : undefined);
      if (!isPrivate) await giveDirectoryToOwner(missing);
    });
  } catch (cause) {
    throw hostError(`make ${path}`, cause);
  }
}

/** Returns the real path of a directory by the rules of {@link ownDirectory}; `undefined` if it does not exist. */
export async function findOwnDirectory(path: string): Promise<string | undefined> {
  try {
    return await resolve(path);
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return undefined;
    throw hostError(`open ${path}`, cause);
  }
}

async function resolve(path: string, onMissing?: (path: string) => Promise<void>): Promise<string> {
  if (process.getuid === undefined) {
    if (onMissing !== undefined) await mkdir(path, { recursive: true });
    return await realpath(path);
  }
  const todo = path.split("/").reverse();
  let at = "/";
  let links = 0;
  /** How many of the remaining names were not read from a link. */
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
    // The target of a link is not created: a disk that is not mounted must not be replaced by a directory.
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
        "remove it, or create it again as the user that dewy runs as",
      { fault: "operator", retryable: false },
    );
  }
  return await readlink(path);
}

async function make(path: string, mode: number | undefined): Promise<void> {
  try {
    await mkdir(path);
    if (mode !== undefined) await chmod(path, mode);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
}

/** Lists the directories that users other than root can write to, each with the reason: `/opt/app (owner 1000)`. */
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
