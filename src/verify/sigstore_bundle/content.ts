import { bytesToHex, hexToBytes } from "../../core/encoding.ts";
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
  if (key.verifyDigest === undefined) {
    throw new BundleError("a key of Ed25519 can sign attestations, not files; use one of ECDSA");
  }
  return key.verifyDigest(digest, message.signature);
}

/** Hashes the file again, and makes sure that it is still the one that was hashed before. */
async function hash(file: SignedFile, name: Exclude<HashName, "sha256">): Promise<Bytes> {
  const hashes = await import("@noble/hashes/sha2");
  const [hasher, known] = [hashes[name].create(), hashes.sha256.create()];
  for await (const chunk of chunksOf(file)) {
    hasher.update(chunk);
    known.update(chunk);
  }
  if (bytesToHex(known.digest()) !== file.sha256) throw new BundleError("the file has changed");
  return new Uint8Array(hasher.digest());
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
