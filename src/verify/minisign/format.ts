import { concat, decodeCanonical } from "../bytes.ts";
import { EvidenceError } from "../signed_file.ts";
import type { Bytes } from "../types.ts";

/** https://jedisct1.github.io/minisign/#public-key-format */
export interface PublicKey {
  /** As minisign shows it. */
  id: string;
  key: Bytes;
}

/** https://jedisct1.github.io/minisign/#signature-format */
export interface Signature {
  keyId: string;
  /** Whether the file itself is signed, and not its BLAKE2b. */
  isLegacy: boolean;
  signature: Bytes;
  trustedComment: string;
  /** What the global signature signs. */
  signed: Bytes;
  globalSignature: Bytes;
}

const LEGACY = "Ed";
const HASHED = "ED";

export function parsePublicKey(base64: string): PublicKey | undefined {
  const bytes = decodeCanonical(base64);
  if (bytes?.byteLength !== 42 || algorithmOf(bytes) !== LEGACY) return undefined;
  return { id: idOf(bytes), key: bytes.slice(10) };
}

/** @throws {EvidenceError} */
export function parseSignature(bytes: Bytes): Signature {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const [untrusted = "", line = "", trusted = "", globalLine = "", ...rest] = text
    .replace(/\r?\n$/, "")
    .split(/\r?\n/);
  const decoded = decodeCanonical(line);
  const globalSignature = decodeCanonical(globalLine);
  if (
    !untrusted.startsWith("untrusted comment: ") ||
    !trusted.startsWith("trusted comment: ") ||
    decoded?.byteLength !== 74 ||
    globalSignature?.byteLength !== 64 ||
    rest.length > 0
  ) {
    throw new EvidenceError("it is not a signature of minisign");
  }
  const algorithm = algorithmOf(decoded);
  if (algorithm !== LEGACY && algorithm !== HASHED) {
    throw new EvidenceError(`its algorithm "${algorithm}" is unknown`);
  }
  const trustedComment = trusted.slice("trusted comment: ".length);
  const signature = decoded.slice(10);
  return {
    keyId: idOf(decoded),
    isLegacy: algorithm === LEGACY,
    signature,
    trustedComment,
    signed: concat(signature, new TextEncoder().encode(trustedComment)),
    globalSignature,
  };
}

const algorithmOf = (bytes: Bytes): string => new TextDecoder().decode(bytes.subarray(0, 2));

/** A number in little endian. */
function idOf(bytes: Bytes): string {
  return [...bytes.subarray(2, 10)]
    .reverse()
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")
    .replace(/^0+/, "")
    .toUpperCase();
}
