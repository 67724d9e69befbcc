import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileError, hasCode } from "../../host/files/file_error.ts";

const LISTS = ["checksums.txt", "SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt"];
const MAX_BYTES = 1024 * 1024;

/**
 * The SHA-256 that a checksum file beside an artifact states: `<artifact>.sha256`, else a line of `checksums.txt` or
 * `SHA256SUMS`, as `sha256sum` writes them (also with `--tag`).
 * https://www.gnu.org/software/coreutils/manual/html_node/cksum-output-modes.html
 */
export async function findChecksum(path: string): Promise<string | undefined> {
  const name = basename(path);
  const alone = await readSmall(`${path}.sha256`);
  const stated = alone === undefined ? undefined : (findLine(alone, name) ?? onlyHex(alone));
  if (stated !== undefined) return `sha256:${stated}`;
  for (const list of LISTS) {
    const text = await readSmall(join(dirname(path), list));
    const found = text === undefined ? undefined : findLine(text, name);
    if (found !== undefined) return `sha256:${found}`;
  }
  return undefined;
}

function findLine(text: string, name: string): string | undefined {
  for (const line of text.split(/\r?\n/)) {
    const [, hex, listed] = /^([0-9a-f]{64}) [ *](?:\.\/)?(.+)$/i.exec(line) ?? [];
    if (hex !== undefined && listed === name) return hex.toLowerCase();
    const [, tagged, taggedHex] = /^SHA256 \((.+)\) = ([0-9a-f]{64})$/i.exec(line) ?? [];
    if (taggedHex !== undefined && tagged === name) return taggedHex.toLowerCase();
  }
  return undefined;
}

/** A file that holds nothing but the digest. */
function onlyHex(text: string): string | undefined {
  return /^\s*([0-9a-f]{64})\s*$/i.exec(text)?.[1]?.toLowerCase();
}

async function readSmall(path: string): Promise<string | undefined> {
  try {
    const stats = await stat(path);
    if (!stats.isFile() || stats.size > MAX_BYTES) return undefined;
    return await readFile(path, "utf8");
  } catch (cause) {
    if (hasCode(cause, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw fileError("read", path, cause);
  }
}
