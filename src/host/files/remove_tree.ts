import { chmod, lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { hostError } from "./atomic_file.ts";
import { hasCode } from "./file_error.ts";

/** Includes directories without write permission, as archives may contain them. Symbolic links are not followed. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (!hasCode(error, "EACCES", "EPERM", "ENOTEMPTY")) throw hostError(`remove ${path}`, error);
    await makeWritable(path);
    await rm(path, { recursive: true, force: true }).catch((cause: unknown) => {
      throw hostError(`remove ${path}`, cause);
    });
  }
}

async function makeWritable(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined);
  if (status?.isDirectory() !== true) return;
  await chmod(path, 0o700).catch(() => {});
  for (const name of await readdir(path).catch(() => [])) await makeWritable(join(path, name));
}
