import { crc32, inflateRawSync } from "node:zlib";
// @ts-types="@types/yauzl"
import {
  type Entry,
  fromRandomAccessReaderPromise,
  getFileNameLowLevel,
  type ZipFile,
} from "yauzl";
import { type ArchiveEntry, BrokenRule, readBody } from "./entry.ts";
import { ZipReader } from "./zip_reader.ts";

// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.4.2 and 4.4.4
const MADE_BY_UNIX = new Set([3, 19]);
const UTF8_FLAG = 0x800;
// Up to this size a body is read and inflated in one piece, which costs less than a stream.
const SMALL_BYTES = 1 << 17;
const MAX_TARGET_BYTES = 4096;
const FILE_TYPES: ReadonlyMap<number, string> = new Map([
  [0o000000, "file"],
  [0o100000, "file"],
  [0o040000, "directory"],
  [0o120000, "symlink"],
  [0o010000, "fifo"],
  [0o020000, "character-device"],
  [0o060000, "block-device"],
  [0o140000, "socket"],
]);

type BodyReader = () => Promise<Uint8Array | undefined>;

/** Reads the entries of a zip by its central directory, one at a time. */
export async function* zipEntries(file: string, maxEntries: number): AsyncGenerator<ArchiveEntry> {
  const reader = new ZipReader(file);
  let zip: ZipFile | undefined;
  try {
    zip = await fromRandomAccessReaderPromise(reader, reader.bytes, {
      decodeStrings: false,
      autoClose: false,
    });
    if (zip.entryCount > maxEntries)
      throw new BrokenRule(`there are more than ${maxEntries} entries`);
    for await (const entry of zip.eachEntry()) yield await toEntry(zip, reader, entry);
  } finally {
    // A zip that could not be opened does not close its reader.
    if (zip === undefined) reader.close(() => {});
    else zip.close();
  }
}

async function toEntry(zip: ZipFile, reader: ZipReader, entry: Entry): Promise<ArchiveEntry> {
  const name = decodeName(entry);
  if (entry.isEncrypted()) throw new BrokenRule("it is encrypted", { cause: name });
  if (!entry.canDecodeFileData()) {
    const method = entry.compressionMethod;
    throw new BrokenRule(`its compression method ${method} is unknown`, { cause: name });
  }
  const unixMode = MADE_BY_UNIX.has(entry.versionMadeBy >>> 8)
    ? entry.externalFileAttributes >>> 16
    : 0;
  const mtime = entry.getLastModDate();
  const result: ArchiveEntry = {
    name,
    type: name.endsWith("/")
      ? "directory"
      : (FILE_TYPES.get(unixMode & 0o170000) ?? "special file"),
    link: "",
    mode: unixMode === 0 ? undefined : unixMode & 0o7777,
    mtime: Number.isNaN(mtime.getTime()) ? undefined : mtime,
    size: entry.uncompressedSize,
    read: isSmall(entry) ? smallBody(zip, reader, entry) : streamedBody(zip, entry),
  };
  if (result.type === "symlink") result.link = await readTarget(result);
  return result;
}

function decodeName(entry: Entry): string {
  const raw = Buffer.from(entry.fileName);
  const flags = entry.generalPurposeBitFlag | (isUtf8(raw) ? UTF8_FLAG : 0);
  return getFileNameLowLevel(flags, raw, entry.extraFields, false);
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function isSmall({ compressedSize, uncompressedSize }: Entry): boolean {
  return Math.max(compressedSize, uncompressedSize) <= SMALL_BYTES;
}

function smallBody(zip: ZipFile, reader: ZipReader, entry: Entry): BodyReader {
  let ended = entry.uncompressedSize === 0 && entry.compressedSize === 0;
  return async () => {
    if (ended) return undefined;
    ended = true;
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    const stored = reader.view(entry.compressedSize, fileDataStart);
    const body = entry.compressionMethod === 0 ? Buffer.from(stored) : inflate(stored, entry);
    if (body.byteLength !== entry.uncompressedSize) {
      throw new BrokenRule(
        `it has ${body.byteLength} bytes where the archive declares ${entry.uncompressedSize}`,
      );
    }
    requireChecksum(crc32(body), entry);
    return body;
  };
}

function inflate(stored: Uint8Array, { uncompressedSize }: Entry): Uint8Array {
  try {
    return inflateRawSync(stored, { maxOutputLength: uncompressedSize + 1 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_BUFFER_TOO_LARGE") throw error;
    throw new BrokenRule(
      `it has more bytes than the ${uncompressedSize} that the archive declares`,
    );
  }
}

function requireChecksum(crc: number, entry: Entry): void {
  if (crc !== entry.crc32) throw new BrokenRule("its checksum does not match its content");
}

function streamedBody(zip: ZipFile, entry: Entry): BodyReader {
  let body: AsyncIterator<Uint8Array> | undefined;
  let crc = 0;
  return async () => {
    body ??= (await zip.openReadStreamPromise(entry))[Symbol.asyncIterator]();
    const { done, value } = await body.next();
    if (!done) {
      crc = crc32(value, crc);
      return value;
    }
    requireChecksum(crc, entry);
    return undefined;
  };
}

async function readTarget(entry: ArchiveEntry): Promise<string> {
  if (entry.size > MAX_TARGET_BYTES) {
    throw new BrokenRule("its link target is too long", { cause: entry.name });
  }
  const chunks: Uint8Array[] = [];
  await readBody(entry, (chunk) => void chunks.push(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
