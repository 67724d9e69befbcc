import { createHash } from "node:crypto";
import { mkdir, realpath, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { HostError } from "../../core/error.ts";
import { hostError } from "../files/atomic_file.ts";
import { ownDirectory } from "../files/own_directory.ts";

/** `.dewy/cache`, or a subdirectory behind a link or in `DEWY_CACHEDIR` (`shared`). */
export async function cacheDirectory(root: string, shared: string | undefined): Promise<string> {
  if (shared) return await ownPart(await make(resolve(shared)), root);
  const plain = join(root, ".dewy", "cache");
  const found = await ownDirectory(plain, 0o700);
  return found === plain ? plain : await ownPart(found, root);
}

async function make(path: string): Promise<string> {
  try {
    await mkdir(path, { recursive: true });
    return await realpath(path);
  } catch (cause) {
    throw hostError(`make ${path}`, cause);
  }
}

async function ownPart(parent: string, root: string): Promise<string> {
  const name = createHash("sha256").update(root).digest("hex").slice(0, 16);
  const path = await ownDirectory(join(parent, name), 0o700, { isPrivate: true });
  const { uid } = await stat(path);
  if (process.getuid === undefined || uid === process.getuid()) return path;
  throw new HostError(
    `Cannot use ${path}: it belongs to user ${uid}, who could replace the downloads; remove it`,
    { fault: "operator", retryable: false },
  );
}
