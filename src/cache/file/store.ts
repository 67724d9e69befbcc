import { createHash } from "node:crypto";
import type { Dirent } from "node:fs";
import {
  type FileHandle,
  link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  rename,
  rm,
  stat,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve, sep } from "node:path";
import { HostError } from "../../core/error.ts";
import { createFile, temporaryPath } from "../../host/files/atomic_file.ts";
import { fileError, hasCode } from "../../host/files/file_error.ts";
import type { RegistryContext } from "../../registries/driver.ts";
import { illegalKey } from "../key.ts";
import { PART_BYTES, partsOf, readBounded } from "../stream.ts";
import type { CacheItem, CacheStore, WriteCondition } from "../types.ts";
import type { FileCacheLocator } from "./locator.ts";

const CHUNK_BYTES = 64 * 1024;
const TEMPORARY = /\.[0-9a-f]{16}\.tmp$/;

/**
 * Conditions are checked, but a file can change between the check and the rename: the cache says that it is not atomic.
 */
export async function openFileCache(
  { name, directory }: FileCacheLocator,
  context: RegistryContext,
): Promise<CacheStore> {
  const stated = directory || context.env.DEWY_CACHEDIR;
  const base = stated ? resolve(stated) : await defaultDirectory(context);
  const at = (key: string): string => pathBelow(base, key);

  const store: CacheStore = {
    name,
    async read(key, maxBytes, signal) {
      const stream = await store.open(key, { signal });
      if (stream === undefined) return undefined;
      const body = await readBounded(stream, { maxBytes, what: `"${key}" in ${name}` });
      return { body, version: versionOf(body) };
    },
    open: (key, { offset = 0, signal }) => openStream(at(key), offset, signal),
    async write(key, body, { condition, signal } = {}) {
      const path = at(key);
      const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
      if (typeof condition === "object" && !(await isOf(path, condition.version))) return undefined;
      const written = await replace(path, single(bytes), condition, signal);
      return written ? versionOf(bytes) : undefined;
    },
    async upload(key, body, signal) {
      await replace(at(key), partsOf(body, PART_BYTES, `"${key}"`), "absent", signal);
    },
    remove: (key) => removeFile(at(key)),
    async *list(prefix, signal) {
      for await (const item of filesBelow(base, prefix, signal)) {
        if (!TEMPORARY.test(item.key)) yield item;
      }
    },
    async *leftovers(prefix, signal) {
      for await (const item of filesBelow(base, prefix, signal)) {
        if (TEMPORARY.test(item.key)) yield { ...item, remove: () => removeFile(at(item.key)) };
      }
    },
    isAtomic: async () => false,
  };
  return store;
}

async function defaultDirectory({ emit }: RegistryContext): Promise<string> {
  const path = resolve(".dewy", "cache");
  try {
    await mkdir(path, { recursive: true });
    return path;
  } catch (cause) {
    const temporary = await mkdtemp(join(tmpdir(), "dewy-cache-"));
    const { message: reason } = fileError("create", path, cause);
    const fields = { reason, directory: temporary };
    emit({ type: "warning", message: "The cache is a temporary directory", fields });
    return temporary;
  }
}

async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true }).catch((cause: unknown) => {
    throw fileError("remove", path, cause);
  });
}

/** Throws for a key that leaves the directory. */
export function pathBelow(base: string, key: string): string {
  const path = join(base, key);
  if (path === base || path.startsWith(base.endsWith(sep) ? base : base + sep)) return path;
  throw illegalKey(key);
}

function versionOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function isOf(path: string, version: string): Promise<boolean> {
  const stream = await openStream(path, 0, undefined);
  if (stream === undefined) return false;
  const hash = createHash("sha256");
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest("hex") === version;
}

async function openStream(
  path: string,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>> | undefined> {
  signal?.throwIfAborted();
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (cause) {
    if (hasCode(cause, "ENOENT", "ENOTDIR")) return undefined;
    throw fileError("read", path, cause);
  }
  let position = offset;
  const end = async (): Promise<void> => file.close();
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          signal?.throwIfAborted();
          const chunk = new Uint8Array(CHUNK_BYTES);
          const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position);
          position += bytesRead;
          if (bytesRead > 0) return controller.enqueue(chunk.subarray(0, bytesRead));
          await end();
          controller.close();
        } catch (cause) {
          await end().catch(() => {});
          throw signal?.aborted ? cause : fileError("read", path, cause);
        }
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

/** Writes beside the path and renames, so that a reader sees all of it or nothing. */
async function replace(
  path: string,
  parts: AsyncIterable<Uint8Array>,
  condition: WriteCondition | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const temporary = temporaryPath(path);
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await createFile(temporary, 0o600);
    try {
      for await (const part of parts) {
        signal?.throwIfAborted();
        await file.writeFile(part);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    if (condition !== "absent") await rename(temporary, path);
    else await link(temporary, path);
    return true;
  } catch (cause) {
    if (hasCode(cause, "EEXIST") && condition === "absent") return false;
    if (signal?.aborted) throw cause;
    throw writeError(path, cause);
  } finally {
    await rm(temporary, { force: true }).catch(() => {});
  }
}

function writeError(path: string, cause: unknown): Error {
  if (cause instanceof Error && !("syscall" in cause)) return cause;
  const error = fileError("write", path, cause);
  return hasCode(cause, "EROFS", "EACCES", "EPERM")
    ? new HostError(error.message, { cause, retryable: false, fault: "operator" })
    : error;
}

async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function* filesBelow(
  base: string,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<CacheItem> {
  const directory = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  for (const entry of await entriesOf(pathBelow(base, directory))) {
    signal?.throwIfAborted();
    const key = directory + entry.name;
    if (!key.startsWith(prefix)) continue;
    if (entry.isDirectory()) yield* filesBelow(base, `${key}/`, signal);
    if (!entry.isFile()) continue;
    const stats = await stat(pathBelow(base, key)).catch(() => undefined);
    if (stats !== undefined) yield { key, bytes: stats.size, modifiedAt: stats.mtimeMs };
  }
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    if (hasCode(cause, "ENOENT", "ENOTDIR")) return [];
    throw fileError("list", directory, cause);
  }
}
