import { hexToBytes } from "../../core/encoding.ts";
import { isSameBytes } from "../bytes.ts";
import { hashFile, type SignedFile } from "../signed_file.ts";
import { type Bundle, BundleError, type Message } from "./bundle.ts";
import { preAuthEncoding, type Statement, statementAbout } from "./envelope.ts";
import type { PublicKey } from "./public_key.ts";

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
    message.hash === "sha256" ? hexToBytes(file.sha256) : await hashFile(file, message.hash);
  if (!isSameBytes(digest, message.digest)) {
    throw new BundleError("the signature is of a file with another digest");
  }
  if (key.verifyDigest === undefined) {
    throw new BundleError("a key of Ed25519 can sign attestations, not files; use one of ECDSA");
  }
  return key.verifyDigest(digest, message.signature);
}
