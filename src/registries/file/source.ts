import type { Dirent, Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Artifact } from "../../core/types.ts";
import { fileError, hasCode } from "../../host/files/file_error.ts";
import type { ListedTag, ReleaseFiles, ReleaseSource } from "../../resolve/resolve.ts";
import { isAuditName } from "../audit.ts";
import { formatFileArtifactUrl } from "../file_locator.ts";

/** Names that copying programs and editors give to what is not complete yet; and hidden ones. */
const UNFINISHED = /^\.|\.(?:part|partial|tmp|temp|swp|crdownload|filepart)$|~$/i;
/** Stands in a name for bytes that are not valid UTF-8: such a file cannot be opened by that name. */
const UNREADABLE = "\uFFFD";

/** Reads `<directory>/<tag>/<artifact>` as releases, in the order of their names. */
export function fileSource(dir: string): ReleaseSource {
  return { tags: () => listTags(dir), release: (tag) => readRelease(dir, tag) };
}

async function* listTags(dir: string): AsyncGenerator<ListedTag> {
  for (const entry of await list(dir)) {
    if (UNFINISHED.test(entry.name) || entry.name.includes(UNREADABLE)) continue;
    if (await isDirectory(dir, entry)) yield { tag: entry.name };
  }
}

async function isDirectory(dir: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return (await statOrNothing(join(dir, entry.name)))?.isDirectory() ?? false;
}

async function readRelease(dir: string, tag: string): Promise<ReleaseFiles | undefined> {
  if (!isName(tag)) return undefined;
  const directory = join(dir, tag);
  const self = await statOrNothing(directory);
  if (!self?.isDirectory()) return undefined;
  const names = (await list(directory)).map((entry) => entry.name);
  const own = names.filter((name) => !isAuditName(name));
  // Records of deploys outlive the release that they are about.
  if (own.length === 0 && names.length > 0) return undefined;

  const files: Artifact[] = [];
  const times: number[] = [];
  for (const name of own) {
    const path = join(directory, name);
    const stats = await statOrNothing(path);
    if (!stats?.isFile()) continue;
    times.push(stats.mtimeMs);
    if (UNFINISHED.test(name) || name.includes(UNREADABLE)) continue;
    files.push({
      name,
      url: formatFileArtifactUrl(path),
      size: stats.size,
      revision: revisionOf(stats),
    });
  }
  const newest = times.length === 0 ? self.mtimeMs : Math.max(...times);
  return { id: tag, createdAt: new Date(Math.trunc(newest)), files };
}

export async function directoryHolds(dir: string, tag: string): Promise<boolean> {
  if (!isName(tag)) return false;
  await list(dir);
  return (await readRelease(dir, tag)) !== undefined;
}

/**
 * A text that changes when a file is replaced or written to. No inode: remote file systems renumber at every mount;
 * whole milliseconds, since some runtimes round.
 */
export function revisionOf(stats: Stats): string {
  return `${Math.trunc(stats.mtimeMs)} ${stats.size}`;
}

async function list(directory: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  } catch (cause) {
    throw fileError("list", directory, cause);
  }
}

async function statOrNothing(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (cause) {
    // A link that leads nowhere, or into itself, is nothing to deploy.
    if (hasCode(cause, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw fileError("read", path, cause);
  }
}

function isName(text: string): boolean {
  return text !== "" && text !== "." && text !== ".." && !/[/\0]/.test(text) && text.length <= 255;
}
