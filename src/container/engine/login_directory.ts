import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DewyError, HostError } from "../../core/error.ts";
import { systemReason } from "../../host/files/atomic_file.ts";
import { findOwnDirectory, ownDirectory } from "../../host/files/own_directory.ts";

const PREFIX = "login-";
/** As `mkdtemp` makes them. */
const LOGIN = /^login-[A-Za-z0-9]{6}$/;

/**
 * Lends a directory that no other user can look into, for the login of one pull. It is gone afterwards.
 *
 * @param parent where it is made; only dewy's own.
 * @param use what needs it.
 * @returns what that returned.
 * @throws HostError when it cannot be made.
 */
export async function withLoginDirectory<T>(
  parent: string,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = await makeDirectory(parent);
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Removes what a dewy that was killed during a pull left behind.
 *
 * @param parent where login directories are made; it need not exist.
 */
export async function removeLogins(parent: string): Promise<void> {
  const found = await findOwnDirectory(parent);
  if (found === undefined) return;
  const names = await readdir(found).catch((error: unknown) => {
    throw new HostError(`Cannot look into ${parent}`, { cause: error });
  });
  for (const name of names) {
    if (LOGIN.test(name)) await rm(join(found, name), { recursive: true, force: true });
  }
}

/**
 * Writes a file that only its owner may read.
 *
 * @param path the file.
 * @param value what is written, as JSON.
 */
export async function writePrivateJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, JSON.stringify(value), { mode: 0o600, flag: "wx" });
}

async function makeDirectory(parent: string): Promise<string> {
  try {
    return await mkdtemp(join(await ownDirectory(parent, 0o700), PREFIX));
  } catch (cause) {
    if (cause instanceof DewyError) throw cause;
    const reason = systemReason(cause);
    throw new HostError(`Cannot make a directory for a login in ${parent}: ${reason}`, { cause });
  }
}
