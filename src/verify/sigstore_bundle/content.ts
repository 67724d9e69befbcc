import { hexToBytes } from "../../core/encoding.ts";
import { type Bundle, BundleError, type Bytes, type HashName, type Message } from "./bundle.ts";
import { preAuthEncoding, type Statement, statementAbout } from "./envelope.ts";
import { isSameBytes, type PublicKey } from "./public_key.ts";

/** The file that a signature is about: an artifact, an image, or a checksum file. */
export interface SignedFile {
  name: string;
  /** In lower-case hex. */
  sha256: string;
  bytes?: Bytes | undefined;
  /** Streams the file, where it is not in memory. */
  open?: (() => ReadableStream<Uint8Array>) | undefined;
}

/** A file that is read into memory for a signature that is not over its digest. */
const MAX_UNHASHED = 64 * 2 ** 20;

/**
 * Verifies that the key has signed the file, or a statement about it.
 *
 * @returns the statement, if there is one.
 * @throws {BundleError}
 */
export async function verifyContent(
  content: Bundle["content"],
  file: SignedFile,
  key: PublicKey,
): Promise<Statement | undefined> {
  if (content.kind === "message") {
    if (!(await isSigned(content, file, key))) throw new BundleError(WRONG);
    return undefined;
  }
  if (!(await key.verify(preAuthEncoding(content), content.signature))) {
    throw new BundleError(WRONG);
  }
  return statementAbout(content, file.sha256);
}

const WRONG = "the signature is wrong, or made with another key";

async function isSigned(message: Message, file: SignedFile, key: PublicKey): Promise<boolean> {
  const digest =
    message.hash === "sha256" ? hexToBytes(file.sha256) : await hash(file, message.hash);
  if (!isSameBytes(digest, message.digest)) {
    throw new BundleError("the signature is of a file with another digest");
  }
  if (key.verifyDigest !== undefined) return key.verifyDigest(digest, message.signature);
  return key.verify(await contentOf(file), message.signature);
}

async function hash(file: SignedFile, name: Exclude<HashName, "sha256">): Promise<Bytes> {
  const hashes = await import("@noble/hashes/sha2");
  const hasher = hashes[name].create();
  for await (const chunk of chunksOf(file)) hasher.update(chunk);
  return new Uint8Array(hasher.digest());
}

async function contentOf(file: SignedFile): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunksOf(file)) {
    length += chunk.byteLength;
    if (length > MAX_UNHASHED) {
      throw new BundleError("its kind of key is for files up to 64 MiB; sign a checksum file");
    }
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks as BlobPart[]).arrayBuffer());
}

async function* chunksOf({ bytes, open }: SignedFile): AsyncIterable<Uint8Array> {
  if (bytes !== undefined) {
    yield bytes;
    return;
  }
  if (open === undefined) throw new BundleError("its hash needs the file, not only its digest");
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
