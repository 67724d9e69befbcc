import { chmod, chown, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ConfigError } from "../../core/error.ts";
import { hostError, syncDirectory, systemCode } from "../../host/files/atomic_file.ts";

const PREFIX = ".dewy-upgrade-";
/** An upgrade that was killed leaves its directory. */
const ABANDONED_MS = 3_600_000;

/**
 * Makes a directory on the file system of a program, passes it on, and removes it again. Only a
 * rename within one file system is atomic.
 */
export async function withStaging<T>(
  program: string,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const parent = dirname(program);
  await removeAbandoned(parent);
  const directory = await mkdtemp(join(parent, PREFIX)).catch((cause) => {
    if (systemCode(cause) !== "EACCES") throw hostError(`replace ${program}`, cause);
    throw new ConfigError(
      `Cannot replace ${program}: permission denied in ${parent}; run it as a user who may write there, such as root`,
      { cause },
    );
  });
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function removeAbandoned(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    if (!name.startsWith(PREFIX)) continue;
    const path = join(parent, name);
    const age = Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now());
    if (age > ABANDONED_MS) await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

/** Puts one program in the place of another, with its mode and owner. Processes that run the old one keep it. */
export async function replaceProgram(from: string, to: string): Promise<void> {
  try {
    const { mode, uid, gid } = await stat(to);
    const own = await stat(from);
    if (own.uid !== uid || own.gid !== gid) await chown(from, uid, gid);
    await chmod(from, mode & 0o7777);
    const file = await open(from, "r");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(from, to);
    await syncDirectory(dirname(to));
  } catch (cause) {
    throw hostError(`replace ${to}`, cause);
  }
}
