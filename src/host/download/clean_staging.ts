import { lstat, readdir, unlink } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Artifact } from "../../core/types.ts";
import { isStagedName, stagedPaths } from "./part_file.ts";

/**
 * Removes the downloads in dewy's staging directory. Everything else in it is left alone.
 *
 * @param directory the staging directory. It need not exist.
 * @param keep an artifact whose partial download is kept, so that it can be resumed.
 */
export async function cleanStaging(
  directory: string,
  keep?: Pick<Artifact, "name">,
): Promise<void> {
  const kept = new Set<string>();
  if (keep !== undefined) {
    const { final, part, sidecar } = stagedPaths(directory, keep.name);
    for (const path of [final, part, sidecar]) kept.add(basename(path));
  }
  for (const name of await namesIn(directory)) {
    if (kept.has(name) || !isStagedName(name)) continue;
    const path = join(directory, name);
    if ((await lstat(path)).isFile()) await unlink(path);
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
