import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { hostError, systemCode } from "./atomic_file.ts";

/** https://man7.org/linux/man-pages/man3/stat.3type.html: blocks have 512 bytes, whatever the file system. */
const BLOCK_BYTES = 512;
const PARALLEL = 32;

/**
 * The space that a directory takes on the disk, in bytes. Symbolic links are not followed, and files with several names
 * count once. What is removed meanwhile does not count.
 */
export async function treeSize(path: string, signal: AbortSignal): Promise<number> {
  const todo = [path];
  const seen = new Set<string>();
  let bytes = 0;
  while (todo.length > 0) {
    signal.throwIfAborted();
    const batch = todo.splice(-PARALLEL);
    const sizes = await Promise.all(batch.map((one) => measure(one, seen)));
    for (const { own, children } of sizes) {
      bytes += own;
      for (const child of children) todo.push(child);
    }
  }
  return bytes;
}

async function measure(
  path: string,
  seen: Set<string>,
): Promise<{ own: number; children: readonly string[] }> {
  try {
    const status = await lstat(path);
    const { dev, ino, nlink, size, blocks } = status;
    const isDirectory = status.isDirectory();
    const id = `${dev}:${ino}`;
    if (!isDirectory && nlink > 1 && seen.has(id)) return { own: 0, children: [] };
    seen.add(id);
    const own = typeof blocks === "number" ? blocks * BLOCK_BYTES : size;
    const names = isDirectory ? await readdir(path) : [];
    return { own, children: names.map((name) => join(path, name)) };
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes(systemCode(cause) ?? "")) return { own: 0, children: [] };
    throw hostError(`measure ${path}`, cause);
  }
}
