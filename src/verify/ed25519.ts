import type { Bytes } from "./types.ts";

/** The prime of the field. https://www.rfc-editor.org/rfc/rfc8032#section-5.1 */
const P = 2n ** 255n - 19n;
/** The order of the base point. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
/** One y of the points of order 8; the other is its negative. */
const ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022n;
/** The y of all points of order 1, 2, 4 and 8. */
const SMALL_ORDER: ReadonlySet<bigint> = new Set([0n, 1n, P - 1n, ORDER_8, P - ORDER_8]);

/**
 * Verifies a signature by a key of 32 bytes. Stricter than Web Crypto, which leaves it to the runtime whether a signature
 * has other forms, and whether keys of small order, with which one signature fits any text, are taken.
 */
export async function verifyEd25519(key: Bytes, signature: Bytes, data: Bytes): Promise<boolean> {
  if (key.byteLength !== 32 || signature.byteLength !== 64) return false;
  const [r, s] = [signature.subarray(0, 32), signature.subarray(32)];
  if (!isPoint(key) || !isPoint(r) || integerOf(s) >= L) return false;
  try {
    const imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, [
      "verify",
    ]);
    return await crypto.subtle.verify("Ed25519", imported, signature, data);
  } catch {
    return false;
  }
}

/** Whether it can be a point of a large order, in its canonical form. */
function isPoint(bytes: Bytes): boolean {
  const y = integerOf(bytes) % 2n ** 255n;
  return y < P && !SMALL_ORDER.has(y);
}

function integerOf(littleEndian: Bytes): bigint {
  return littleEndian.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
}
