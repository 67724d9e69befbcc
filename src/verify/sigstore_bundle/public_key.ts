import { base64ToBytes, hexToBytes } from "../../core/encoding.ts";
import { verifyEd25519 } from "../ed25519.ts";
import type { Bytes } from "../types.ts";
import {
  CURVES,
  type CurveName,
  type EcdsaSignature,
  type Point,
  type RsaKey,
  toInteger,
  verifyEcdsa,
  verifyRsa,
} from "./arithmetic.ts";

export interface PublicKey {
  /** The key as DER, SubjectPublicKeyInfo. */
  spki: Bytes;
  verify(data: Bytes, signature: Bytes): Promise<boolean>;
  /** By the digest of the data; absent for keys that sign the data itself (Ed25519). */
  verifyDigest?(digest: Bytes, signature: Bytes): boolean;
}

/** Reads a key of a kind that Sigstore's logs, certificates or `cosign generate-key-pair` use; `undefined` for others. */
export async function importPublicKey(spki: Bytes): Promise<PublicKey | undefined> {
  for (const curve of Object.keys(CURVES) as CurveName[]) {
    const key = await importAs(spki, { name: "ECDSA", namedCurve: curve });
    if (key !== undefined) return ecdsaKey(spki, key, curve);
  }
  const ed25519 = await importAs(spki, { name: "Ed25519" });
  if (ed25519 !== undefined) {
    const key = new Uint8Array(await crypto.subtle.exportKey("raw", ed25519));
    return { spki, verify: (data, signature) => verifyEd25519(key, signature, data) };
  }
  const rsa = await importAs(spki, { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" });
  return rsa === undefined ? undefined : rsaKey(spki, rsa);
}

/** Reads a PEM file with one public key. */
export async function importPublicKeyPem(pem: string): Promise<PublicKey | undefined> {
  const der = decodePem(pem, "PUBLIC KEY");
  return der === undefined ? undefined : importPublicKey(der);
}

export function decodePem(pem: string, label: string): Bytes | undefined {
  const block = new RegExp(
    `^\\s*-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----\\s*$`,
  ).exec(pem);
  return block === null ? undefined : base64ToBytes((block[1] ?? "").replaceAll(/\s/g, ""));
}

type Algorithm = EcKeyImportParams | RsaHashedImportParams | { name: "Ed25519" };

async function importAs(spki: Bytes, algorithm: Algorithm): Promise<CryptoKey | undefined> {
  try {
    return await crypto.subtle.importKey("spki", spki, algorithm, true, ["verify"]);
  } catch {
    return undefined;
  }
}

/** Keys of more than 256 bits go with SHA-2 of their size, and in older signatures with SHA-256. */
const ECDSA_HASHES: Readonly<Record<CurveName, readonly string[]>> = {
  "P-256": ["SHA-256"],
  "P-384": ["SHA-384", "SHA-256"],
};

async function ecdsaKey(spki: Bytes, key: CryptoKey, name: CurveName): Promise<PublicKey> {
  const curve = CURVES[name];
  const point = await pointOf(key);
  return {
    spki,
    async verify(data, der) {
      const signature = parseEcdsaSignature(der);
      const raw = signature && toRaw(signature, curve.size);
      if (raw === undefined) return false;
      for (const hash of ECDSA_HASHES[name]) {
        if (await crypto.subtle.verify({ name: "ECDSA", hash }, key, raw, data)) return true;
      }
      return false;
    },
    verifyDigest(digest, der) {
      const signature = parseEcdsaSignature(der);
      return signature !== undefined && verifyEcdsa(curve, point, digest, signature);
    },
  };
}

async function pointOf(key: CryptoKey): Promise<Point> {
  const { x = "", y = "" } = await crypto.subtle.exportKey("jwk", key);
  return { x: integerOf(x), y: integerOf(y) };
}

const MIN_RSA_BYTES = 256;

async function rsaKey(spki: Bytes, key: CryptoKey): Promise<PublicKey | undefined> {
  const { n = "", e = "" } = await crypto.subtle.exportKey("jwk", key);
  const modulus = integerOf(n);
  const size = Math.ceil(modulus.toString(2).length / 8);
  if (size < MIN_RSA_BYTES) return undefined;
  const rsa: RsaKey = { n: modulus, e: integerOf(e), size };
  return {
    spki,
    verify: (data, signature) => crypto.subtle.verify("RSASSA-PKCS1-v1_5", key, signature, data),
    verifyDigest: (digest, signature) => verifyRsa(rsa, digest, signature),
  };
}

/** Of a number in a JSON Web Key. */
function integerOf(base64url: string): bigint {
  const base64 = base64url.replaceAll("-", "+").replaceAll("_", "/");
  const bytes = base64ToBytes(base64.padEnd(Math.ceil(base64.length / 4) * 4, "="));
  return toInteger(bytes ?? new Uint8Array());
}

/**
 * A DER sequence of two integers, in its only valid encoding, so that a signature has one form.
 * https://www.rfc-editor.org/rfc/rfc3279#section-2.2.3
 */
export function parseEcdsaSignature(der: Bytes): EcdsaSignature | undefined {
  const body = readDer(der, 0x30);
  const r = body && readDer(body.content, 0x02);
  const s = r && readDer(r.rest, 0x02);
  if (r === undefined || s === undefined || body?.rest.byteLength !== 0) return undefined;
  if (s.rest.byteLength !== 0 || !isPositive(r.content) || !isPositive(s.content)) return undefined;
  return { r: toInteger(r.content), s: toInteger(s.content) };
}

function readDer(bytes: Bytes, tag: number): { content: Bytes; rest: Bytes } | undefined {
  const [found, first = 0, second = 0] = bytes;
  const isLong = first === 0x81;
  const length = isLong ? second : first;
  const start = isLong ? 3 : 2;
  const end = start + length;
  const isMinimal = isLong ? length >= 0x80 : length < 0x80;
  if (found !== tag || !isMinimal || bytes.byteLength < end) return undefined;
  return { content: bytes.subarray(start, end), rest: bytes.subarray(end) };
}

/** Neither negative nor with a zero in front that nothing requires. */
function isPositive([first, second = 0]: Bytes): boolean {
  return first !== undefined && first < 0x80 && (first !== 0 || second >= 0x80);
}

/** The two integers side by side, as Web Crypto wants them. */
function toRaw({ r, s }: EcdsaSignature, size: number): Bytes | undefined {
  const [left, right] = [r, s].map((value) => value.toString(16).padStart(size * 2, "0"));
  if (left?.length !== size * 2 || right?.length !== size * 2) return undefined;
  return hexToBytes(left + right);
}
