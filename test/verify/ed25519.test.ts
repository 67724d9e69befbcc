import {
  createHash,
  createPublicKey,
  verify as cryptoVerify,
  generateKeyPairSync,
} from "node:crypto";
import { describe, expect, test } from "vitest";
import { bytesToHex, hexToBytes } from "../../src/core/encoding.ts";
import { verifyEd25519 } from "../../src/verify/ed25519.ts";
import type { Bytes } from "../../src/verify/types.ts";

/** https://www.rfc-editor.org/rfc/rfc8032#section-7.1 */
const RFC_8032: readonly [string, string, string, string][] = [
  [
    "an empty message",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "one byte",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  [
    "two bytes",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
  [
    "a hash",
    "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
  ],
];

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;

const verify = (key: Bytes, message: Bytes, signature: Bytes): Promise<boolean> =>
  verifyEd25519(key, signature, message);

const toInteger = (bytes: Bytes): bigint =>
  BigInt(`0x${bytesToHex(Uint8Array.from(bytes).reverse())}`);

const toBytes = (value: bigint, size = 32): Bytes =>
  hexToBytes(value.toString(16).padStart(size * 2, "0")).reverse();

describe("the vectors of RFC 8032", () => {
  test.each(RFC_8032)("accept %s", async (_, key, message, signature) => {
    const [k, m, s] = [hexToBytes(key), hexToBytes(message), hexToBytes(signature)];
    expect(await verify(k, m, s)).toBe(true);
  });

  test.each(RFC_8032)("refuse %s with any bit changed", async (_, key, message, signature) => {
    const inputs = [key, message, signature].map(hexToBytes);
    for (const [at, input] of inputs.entries()) {
      for (let bit = 0; bit < input.byteLength * 8; bit += 1) {
        const changed = Uint8Array.from(input);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const [k, m, s] = inputs.with(at, changed);
        if (k === undefined || m === undefined || s === undefined) throw new Error("no input");
        expect(await verify(k, m, s)).toBe(false);
      }
    }
  });

  test("refuse lengths that are too small or too large", async () => {
    const [, key = "", message = "", signature = ""] = RFC_8032[1] ?? [];
    const [k, m, s] = [hexToBytes(key), hexToBytes(message), hexToBytes(signature)];
    expect(await verify(k.slice(1), m, s)).toBe(false);
    expect(await verify(hexToBytes(`${key}00`), m, s)).toBe(false);
    expect(await verify(k, m, s.slice(0, 63))).toBe(false);
    expect(await verify(k, m, hexToBytes(`${signature}00`))).toBe(false);
  });
});

describe("malleability", () => {
  test("refuses an S that is not canonical", async () => {
    for (const [, key, message, signature] of RFC_8032) {
      const s = hexToBytes(signature);
      for (let added = L; toInteger(s.slice(32)) + added < 2n ** 256n; added += L) {
        const other = Uint8Array.from(s);
        other.set(toBytes(toInteger(s.slice(32)) + added), 32);
        expect(await verify(hexToBytes(key), hexToBytes(message), other)).toBe(false);
      }
    }
  });

  test("refuses keys and R of small order, in each of their encodings", async () => {
    const points = smallOrderEncodings();
    expect(points).toHaveLength(14);
    for (const key of points) {
      for (const r of points) {
        const signature = Uint8Array.from([...r, ...new Uint8Array(32)]);
        for (const message of [0, 1, 2, 3, 4, 5, 6, 7]) {
          expect(await verify(key, Uint8Array.of(message), signature)).toBe(false);
        }
      }
    }
  });

  test.each([
    ["neutral", 1n],
    ["neutral, but not in its canonical form", P + 1n],
  ])("refuses a key that is %s, with which one signature fits every message", async (_, y) => {
    const { scalar, point } = keyPair();
    const signature = Uint8Array.from([...point, ...toBytes(scalar)]);
    const messages = ["one", "another"].map((text) => new TextEncoder().encode(text));
    for (const message of messages) {
      expect(acceptedByOpenSsl(toBytes(y), message, signature)).toBe(true);
      expect(await verify(toBytes(y), message, signature)).toBe(false);
    }
  });

  test("refuses a neutral R, although its key has made it", async () => {
    const { scalar, point } = keyPair();
    const [r, message] = [toBytes(1n), new TextEncoder().encode("message")];
    const hash = createHash("sha512").update(r).update(point).update(message).digest();
    const s = (toInteger(new Uint8Array(hash)) * scalar) % L;
    const signature = Uint8Array.from([...r, ...toBytes(s)]);
    expect(acceptedByOpenSsl(point, message, signature)).toBe(true);
    expect(await verify(point, message, signature)).toBe(false);
  });
});

/** A secret scalar, reduced, and its point. */
function keyPair(): { scalar: bigint; point: Bytes } {
  const { d = "", x = "" } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const hash = createHash("sha512").update(Buffer.from(d, "base64url")).digest();
  const clamped = new Uint8Array(hash.subarray(0, 32));
  clamped[0] = (clamped[0] ?? 0) & 0xf8;
  clamped[31] = ((clamped[31] ?? 0) & 0x7f) | 0x40;
  return { scalar: toInteger(clamped) % L, point: new Uint8Array(Buffer.from(x, "base64url")) };
}

function acceptedByOpenSsl(point: Bytes, message: Bytes, signature: Bytes): boolean {
  const x = Buffer.from(point).toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return cryptoVerify(null, message, key, signature);
}

/** The points whose eightfold is neutral: each y with both signs, and y + P where that fits into 255 bits. */
function smallOrderEncodings(): readonly Bytes[] {
  const eighth = 2707385501144840649318225287225658788936804267575313519463743609750303402022n;
  const ys = [0n, 1n, P - 1n, eighth, P - eighth];
  expect(ys.filter((y) => isNeutral(eightfold(y)))).toEqual(ys);
  const encodings = ys.flatMap((y) => (y + P < 2n ** 255n ? [y, y + P] : [y]));
  return encodings.flatMap((y) => [toBytes(y), toBytes(y + 2n ** 255n)]);
}

interface Point {
  x: bigint;
  y: bigint;
}

const mod = (value: bigint): bigint => ((value % P) + P) % P;

function power(base: bigint, exponent: bigint): bigint {
  let [result, square, left] = [1n, mod(base), exponent];
  for (; left > 0n; left >>= 1n, square = mod(square * square)) {
    if (left & 1n) result = mod(result * square);
  }
  return result;
}

const isNeutral = ({ x, y }: Point): boolean => x === 0n && y === 1n;

function eightfold(y: bigint): Point {
  const point = { x: xOf(y), y };
  return double(double(double(point)));
}

function xOf(y: bigint): bigint {
  const square = mod((y * y - 1n) * power(D * y * y + 1n, P - 2n));
  const root = power(square, (P + 3n) / 8n);
  const x = mod(root * root) === square ? root : mod(root * power(2n, (P - 1n) / 4n));
  expect(mod(x * x)).toBe(square);
  return x;
}

function double({ x, y }: Point): Point {
  const product = mod(D * x * x * y * y);
  return {
    x: mod(2n * x * y * power(1n + product, P - 2n)),
    y: mod((y * y + x * x) * power(1n - product, P - 2n)),
  };
}
