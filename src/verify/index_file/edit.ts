import { ConfigError } from "../../core/error.ts";
import { formatIndex, type Index, MAX_INDEX_BYTES } from "./format.ts";

export interface IndexChange {
  /** The version to add, with the digests of its files by name; absent to renew the expiry only. */
  version?: { tag: string; files: Readonly<Record<string, string>> } | undefined;
  now: number;
  expiresInMs: number;
}

/**
 * The text of an index with one more version, issued now.
 *
 * @throws {ConfigError} If the version is listed with other bytes, or the index is empty or too large.
 */
export function editIndex(before: Index | undefined, change: IndexChange): string {
  const { version, now, expiresInMs } = change;
  const versions = { ...before?.versions };
  if (version !== undefined) {
    const { tag, files } = version;
    const known = Object.hasOwn(versions, tag) ? (versions[tag] ?? {}) : {};
    for (const [name, digest] of Object.entries(files)) {
      if (!Object.hasOwn(known, name) || known[name] === digest) continue;
      throw new ConfigError(
        `Cannot add "${name}" to ${tag}: the index lists it with another digest; publish other bytes under a new version`,
      );
    }
    versions[tag] = { ...known, ...files };
  }
  if (Object.keys(versions).length === 0) {
    throw new ConfigError("Cannot sign an index without versions; name a version and its files");
  }
  const text = formatIndex({
    format: 1,
    issued: new Date(now).toISOString(),
    expires: new Date(now + expiresInMs).toISOString(),
    versions,
  });
  if (new TextEncoder().encode(text).byteLength <= MAX_INDEX_BYTES) return text;
  throw new ConfigError("Cannot sign an index of more than 1 MiB; remove old versions from it");
}
