import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HostError } from "../../core/error.ts";
import { systemReason } from "../atomic_file.ts";
import { hasCode } from "../file_error.ts";

const PREFIX = "login-";

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
  const names = await readdir(parent).catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return [];
    throw new HostError(`Cannot look into ${parent}`, { cause: error });
  });
  for (const name of names) {
    if (name.startsWith(PREFIX)) await rm(join(parent, name), { recursive: true, force: true });
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
    await mkdir(parent, { recursive: true, mode: 0o700 });
    return await mkdtemp(join(parent, PREFIX));
  } catch (cause) {
    const reason = systemReason(cause);
    throw new HostError(`Cannot make a directory for a login in ${parent}: ${reason}`, { cause });
  }
}
