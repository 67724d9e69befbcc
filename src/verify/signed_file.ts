import { bytesToHex } from "../core/encoding.ts";
import type { Bytes, CreateHash, HashName, Subject } from "./types.ts";

/** Why a signature, a bundle or a checksum file does not prove what it should. The message is a reason, not a sentence. */
export class EvidenceError extends Error {}

/** The file that a signature is about: an artifact, an image, or a checksum file. */
export interface SignedFile {
  name: string;
  /** In lower-case hex. */
  sha256: string;
  bytes?: Bytes | undefined;
  /** Streams the file, where it is not in memory. */
  open?: (() => ReadableStream<Uint8Array>) | undefined;
  /** Hashes of it that are known already. */
  hashes?: Subject["hashes"];
  /** Defaults to hashes in JavaScript, which take twenty times as long. */
  createHash?: CreateHash | undefined;
}

/**
 * Hashes the file again, and makes sure that it is still the one that was hashed before.
 *
 * @throws {EvidenceError}
 */
export async function hashFile(
  file: SignedFile,
  name: HashName,
  signal?: AbortSignal,
): Promise<Bytes> {
  const known = file.hashes?.[name];
  if (known !== undefined) return known;
  const hash = (file.createHash ?? (await portableHashes()))(name);
  for await (const chunk of unchanged(file, signal)) hash.update(chunk);
  return new Uint8Array(hash.digest());
}

/**
 * Reads a small file, and makes sure that it is still the one that was hashed before; `undefined` if it has more than
 * `maxBytes`.
 *
 * @throws {EvidenceError}
 */
export async function readFile(
  file: SignedFile,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Bytes | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of unchanged(file, signal)) {
    size += chunk.byteLength;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks as Bytes[]).arrayBuffer());
}

/** The chunks of the file. Fails at the end if they are not those that were hashed before. */
export async function* unchanged(
  file: SignedFile,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const known = (file.createHash ?? (await portableHashes()))("sha256");
  for await (const chunk of chunksOf(file)) {
    signal?.throwIfAborted();
    known.update(chunk);
    yield chunk;
  }
  if (bytesToHex(known.digest()) !== file.sha256) throw new EvidenceError("the file has changed");
}

async function* chunksOf({ bytes, open }: SignedFile): AsyncIterable<Uint8Array> {
  if (bytes !== undefined) {
    yield bytes;
    return;
  }
  if (open === undefined) throw new EvidenceError("its hash needs the file, not only its digest");
  const reader = open().getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export async function portableHashes(): Promise<CreateHash> {
  const [{ sha256, sha384, sha512 }, { blake2b }] = await Promise.all([
    import("@noble/hashes/sha2"),
    import("@noble/hashes/blake2"),
  ]);
  const hashes = { sha256, sha384, sha512, blake2b512: blake2b };
  return (name) => hashes[name].create();
}
