/**
 * Verifies signatures by the digest of what was signed. Web Crypto wants the signed bytes, which for an artifact may be
 * gigabytes that are hashed already. There are no secrets here, so timing does not matter.
 *
 * @module
 */

/** y² = x³ - 3x + b over the integers modulo p, with the base point g of order n. */
export interface Curve {
  p: bigint;
  n: bigint;
  g: Point;
  /** Of a coordinate, in bytes. */
  size: number;
}

export interface Point {
  x: bigint;
  y: bigint;
}

export type CurveName = "P-256" | "P-384" | "P-521";

/** https://nvlpubs.nist.gov/nistpubs/SpecialPublications/NIST.SP.800-186.pdf, section 3.2.1 */
export const CURVES: Readonly<Record<CurveName, Curve>> = {
  "P-256": {
    p: 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn,
    n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
    g: {
      x: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
      y: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
    },
    size: 32,
  },
  "P-384": {
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
    g: {
      x: 0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7n,
      y: 0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5fn,
    },
    size: 48,
  },
  "P-521": {
    p: 2n ** 521n - 1n,
    n: 0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
    g: {
      x: 0x00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66n,
      y: 0x011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650n,
    },
    size: 66,
  },
};

export interface EcdsaSignature {
  r: bigint;
  s: bigint;
}

/**
 * ECDSA, FIPS 186-5, section 6.4.2.
 *
 * @param key A point on the curve: Web Crypto has checked that when it imported the key.
 */
export function verifyEcdsa(
  curve: Curve,
  key: Point,
  digest: Uint8Array,
  { r, s }: EcdsaSignature,
): boolean {
  const { n, g } = curve;
  if (r < 1n || r >= n || s < 1n || s >= n) return false;
  const w = inverse(s, n);
  const u = (leftmostBits(digest, n) * w) % n;
  const v = (r * w) % n;
  const sum = sumOfMultiples(curve, [u, g], [v, key]);
  return sum !== undefined && sum.x % n === r;
}

/** The digest as an integer, cut to the bits of the order. */
function leftmostBits(digest: Uint8Array, n: bigint): bigint {
  const excess = digest.byteLength * 8 - n.toString(2).length;
  return excess > 0 ? toInteger(digest) >> BigInt(excess) : toInteger(digest);
}

/** u·P + v·Q, doubling once for both. */
function sumOfMultiples(
  curve: Curve,
  [u, p]: [bigint, Point],
  [v, q]: [bigint, Point],
): Point | undefined {
  const both = add(curve, p, q);
  let sum: Point | undefined;
  const length = Math.max(u.toString(2).length, v.toString(2).length);
  for (let bit = BigInt(length - 1); bit >= 0n; bit -= 1n) {
    sum = add(curve, sum, sum);
    const [hasP, hasQ] = [(u >> bit) & 1n, (v >> bit) & 1n];
    if (hasP && hasQ) sum = add(curve, sum, both);
    else if (hasP) sum = add(curve, sum, p);
    else if (hasQ) sum = add(curve, sum, q);
  }
  return sum;
}

/** `undefined` is the point at infinity. */
function add({ p }: Curve, one: Point | undefined, other: Point | undefined): Point | undefined {
  if (one === undefined) return other;
  if (other === undefined) return one;
  const isSameX = one.x === other.x;
  if (isSameX && (one.y !== other.y || one.y === 0n)) return undefined;
  const slope = isSameX
    ? (3n * one.x * one.x - 3n) * inverse(mod(2n * one.y, p), p)
    : (other.y - one.y) * inverse(mod(other.x - one.x, p), p);
  const x = mod(slope * slope - one.x - other.x, p);
  return { x, y: mod(slope * (one.x - x) - one.y, p) };
}

/** Of a number that is not 0, modulo a prime. */
function inverse(value: bigint, prime: bigint): bigint {
  let [a, b] = [value, prime];
  let [x, y] = [1n, 0n];
  while (b !== 0n) {
    const quotient = a / b;
    [a, b] = [b, a - quotient * b];
    [x, y] = [y, x - quotient * y];
  }
  return mod(x, prime);
}

function mod(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

export interface RsaKey {
  n: bigint;
  e: bigint;
  /** Of the modulus, in bytes. */
  size: number;
}

// DigestInfo of SHA-256: https://www.rfc-editor.org/rfc/rfc8017#section-9.2
const SHA256_INFO = [
  0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
  0x00, 0x04, 0x20,
];

/** RSASSA-PKCS1-v1_5 with SHA-256: https://www.rfc-editor.org/rfc/rfc8017#section-8.2.2 */
export function verifyRsa(key: RsaKey, digest: Uint8Array, signature: Uint8Array): boolean {
  const { n, e, size } = key;
  if (digest.byteLength !== 32 || signature.byteLength !== size || size < 256) return false;
  const info = [...SHA256_INFO, ...digest];
  const padding = Array<number>(size - info.length - 3).fill(0xff);
  const expected = toInteger(new Uint8Array([0, 1, ...padding, 0, ...info]));
  const value = toInteger(signature);
  return value < n && power(value, e, n) === expected;
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === "1") result = (result * base) % modulus;
  }
  return result;
}

export function toInteger(bytes: Uint8Array): bigint {
  let hex = "0x0";
  for (const byte of bytes) hex += byte.toString(16).padStart(2, "0");
  return BigInt(hex);
}
