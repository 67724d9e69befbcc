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

export type CurveName = "P-256" | "P-384";

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
  const { p, n, g } = curve;
  if (r < 1n || r >= n || s < 1n || s >= n) return false;
  const w = inverse(s, n);
  const u = (leftmostBits(digest, n) * w) % n;
  const v = (r * w) % n;
  const { x, z } = sumOfMultiples(curve, [u, toJacobian(g)], [v, toJacobian(key)]);
  return z !== 0n && mod(x * inverse(z, p) ** 2n, p) % n === r;
}

/** The digest as an integer, cut to the bits of the order. */
function leftmostBits(digest: Uint8Array, n: bigint): bigint {
  const excess = digest.byteLength * 8 - n.toString(2).length;
  return excess > 0 ? toInteger(digest) >> BigInt(excess) : toInteger(digest);
}

/** The point (x/z², y/z³), so that additions need no division. With z = 0 it is the point at infinity. */
interface JacobianPoint extends Point {
  z: bigint;
}

const INFINITY: JacobianPoint = { x: 1n, y: 1n, z: 0n };

const toJacobian = ({ x, y }: Point): JacobianPoint => ({ x, y, z: 1n });

/** u·P + v·Q, doubling once for both. */
function sumOfMultiples(
  { p: prime }: Curve,
  [u, p]: [bigint, JacobianPoint],
  [v, q]: [bigint, JacobianPoint],
): JacobianPoint {
  const both = add(prime, p, q);
  let sum = INFINITY;
  const length = Math.max(u.toString(2).length, v.toString(2).length);
  for (let bit = BigInt(length - 1); bit >= 0n; bit -= 1n) {
    sum = double(prime, sum);
    const [hasP, hasQ] = [(u >> bit) & 1n, (v >> bit) & 1n];
    if (hasP && hasQ) sum = add(prime, sum, both);
    else if (hasP) sum = add(prime, sum, p);
    else if (hasQ) sum = add(prime, sum, q);
  }
  return sum;
}

/** https://hyperelliptic.org/EFD/g1p/auto-shortw-jacobian-3.html#addition-add-1998-cmo-2 */
function add(p: bigint, one: JacobianPoint, other: JacobianPoint): JacobianPoint {
  if (one.z === 0n) return other;
  if (other.z === 0n) return one;
  const [zz, ww] = [(one.z * one.z) % p, (other.z * other.z) % p];
  const [u, s] = [(one.x * ww) % p, (one.y * other.z * ww) % p];
  const h = mod(other.x * zz - u, p);
  const r = mod(other.y * one.z * zz - s, p);
  if (h === 0n) return r === 0n ? double(p, one) : INFINITY;
  const hh = (h * h) % p;
  const [hhh, v] = [(h * hh) % p, (u * hh) % p];
  const x = mod(r * r - hhh - 2n * v, p);
  return { x, y: mod(r * (v - x) - s * hhh, p), z: (h * one.z * other.z) % p };
}

/** https://hyperelliptic.org/EFD/g1p/auto-shortw-jacobian-3.html#doubling-dbl-2001-b */
function double(p: bigint, { x, y, z }: JacobianPoint): JacobianPoint {
  const [delta, gamma] = [(z * z) % p, (y * y) % p];
  const beta = (x * gamma) % p;
  const alpha = 3n * (x - delta) * (x + delta);
  const doubledX = mod(alpha * alpha - 8n * beta, p);
  return {
    x: doubledX,
    y: mod(alpha * (4n * beta - doubledX) - 8n * gamma * gamma, p),
    z: mod(2n * y * z, p),
  };
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
  if (digest.byteLength !== 32 || signature.byteLength !== size) return false;
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
