import { concat, decodeCanonical } from "../bytes.ts";
import { EvidenceError, hashFile, type SignedFile } from "../signed_file.ts";
import type { Bytes } from "../types.ts";
import { parseKey } from "./keys.ts";
import { malformed, utf8, WireReader, wireString } from "./wire.ts";

/** https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig */
export interface SshSignature {
  /** The public key that it claims to be made with. */
  key: Bytes;
  namespace: string;
  reserved: Bytes;
  hash: "sha256" | "sha512";
  signature: Bytes;
}

const ARMOR =
  /^-----BEGIN SSH SIGNATURE-----\r?\n((?:[A-Za-z0-9+/=]+\r?\n)+)-----END SSH SIGNATURE-----(?:\r?\n)?$/;
const MAGIC = "SSHSIG";

export const isArmored = (bytes: Bytes): boolean => ARMOR.test(new TextDecoder().decode(bytes));

/** @throws {EvidenceError} */
export function parseSignature(armored: Bytes): SshSignature {
  const [, base64 = ""] = ARMOR.exec(new TextDecoder().decode(armored)) ?? [];
  const bytes = decodeCanonical(base64.replaceAll(/[\r\n]/g, ""));
  if (bytes === undefined) throw new EvidenceError("it is not a signature of ssh-keygen -Y sign");
  const reader = new WireReader(bytes);
  const magic = new TextDecoder().decode(reader.bytes(MAGIC.length));
  if (magic !== MAGIC || reader.uint32() !== 1) throw new EvidenceError("its version is unknown");
  const [key, namespace, reserved] = [reader.string(), reader.text(), reader.string()];
  const hash = reader.text();
  if (hash !== "sha256" && hash !== "sha512") throw new EvidenceError(`its hash is ${hash}`);
  const signature = reader.string();
  reader.end();
  return { key, namespace, reserved, hash, signature };
}

/** Whether the key in the signature has signed the file. @throws {EvidenceError} */
export async function isSignatureOf(
  { key, namespace, reserved, hash, signature }: SshSignature,
  file: SignedFile,
  signal: AbortSignal,
): Promise<boolean> {
  const fields = [utf8(namespace), reserved, utf8(hash), await hashFile(file, hash, signal)];
  const signed = concat(utf8(MAGIC), ...fields.map(wireString));
  try {
    return await parseKey(key).verify(signature, signed);
  } catch (error) {
    throw error instanceof EvidenceError ? error : malformed(error);
  }
}
