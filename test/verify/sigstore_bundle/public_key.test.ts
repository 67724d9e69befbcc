import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CURVES,
  type CurveName,
  verifyEcdsa,
} from "../../../src/verify/sigstore_bundle/arithmetic.ts";
import {
  importPublicKey,
  importPublicKeyPem,
  type PublicKey,
  parseEcdsaSignature,
} from "../../../src/verify/sigstore_bundle/public_key.ts";
import type { Bytes } from "../../../src/verify/types.ts";

const NAMES = Object.keys(CURVES) as CurveName[];
const HASH: Readonly<Record<CurveName, string>> = {
  "P-256": "sha256",
  "P-384": "sha384",
};

async function read(key: KeyObject): Promise<PublicKey> {
  const found = await importPublicKey(bytes(key.export({ type: "spki", format: "der" })));
  if (found === undefined) throw new Error("unknown key");
  return found;
}

const bytes = (data: Uint8Array): Bytes => new Uint8Array(data);
const digestOf = (hash: string, data: Uint8Array): Bytes =>
  bytes(createHash(hash).update(data).digest());

describe.each(NAMES)("ECDSA by %s", (namedCurve) => {
  const hash = HASH[namedCurve];
  const curve = CURVES[namedCurve];
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve });

  test("agrees with OpenSSL on signatures, with the data and with its digest", async () => {
    const key = await read(publicKey);
    const data = fc.uint8Array({ maxLength: 64 });
    const flips = fc.array(fc.tuple(fc.nat(140), fc.integer({ min: 1, max: 255 })), {
      maxLength: 1,
    });
    await fc.assert(
      fc.asyncProperty(data, flips, async (message, changes) => {
        const signature = bytes(sign(hash, message, privateKey));
        for (const [at, mask] of changes) {
          const index = at % signature.byteLength;
          signature[index] = (signature[index] ?? 0) ^ mask;
        }
        const expected = verify(hash, message, publicKey, signature);
        expect(key.verifyDigest?.(digestOf(hash, message), signature)).toBe(expected);
        expect(await key.verify(bytes(message), signature)).toBe(expected);
      }),
      { numRuns: 50 },
    );
  });

  test("refuses the signature of another message, and by another key", async () => {
    const key = await read(publicKey);
    const signature = bytes(sign(hash, Buffer.from("one"), privateKey));
    const stranger = generateKeyPairSync("ec", { namedCurve }).publicKey;
    expect(key.verifyDigest?.(digestOf(hash, Buffer.from("two")), signature)).toBe(false);
    expect(
      (await read(stranger)).verifyDigest?.(digestOf(hash, Buffer.from("one")), signature),
    ).toBe(false);
  });

  test.each(["1", "n - 1"])(
    "works with the private key %s, where points coincide",
    async (name) => {
      const { n, p, g, size } = curve;
      const [d, y] = name === "1" ? [1n, g.y] : [n - 1n, p - g.y];
      const part = (value: bigint): string =>
        Buffer.from(value.toString(16).padStart(size * 2, "0"), "hex").toString("base64url");
      const jwk = { kty: "EC", crv: namedCurve, x: part(g.x), y: part(y), d: part(d) };
      const secret = createPrivateKey({ key: jwk, format: "jwk" });
      const key = await read(createPublicKey(secret));
      const signature = bytes(sign(hash, Buffer.from("message"), secret));
      expect(key.verifyDigest?.(digestOf(hash, Buffer.from("message")), signature)).toBe(true);
      expect(key.verifyDigest?.(digestOf(hash, Buffer.from("other")), signature)).toBe(false);
    },
  );

  test("refuses numbers out of range, and the point at infinity", () => {
    const { n, g, size } = curve;
    const digest = new Uint8Array(size).fill(7, 1);
    for (const [r, s] of [
      [0n, 1n],
      [1n, 0n],
      [n, 1n],
      [1n, n],
      [n + 1n, 1n],
      [0n, 0n],
      [-1n, 1n],
    ] as const) {
      expect(verifyEcdsa(curve, g, digest, { r, s })).toBe(false);
    }
    // For the private key 1, a digest of -r makes u·G + v·Q the point at infinity.
    const r = 5n;
    const hex = (n - r).toString(16).padStart(Math.ceil(n.toString(16).length / 2) * 2, "0");
    expect(verifyEcdsa(curve, g, Buffer.from(hex, "hex"), { r, s: 3n })).toBe(false);
  });
});

describe("the encoding of an ECDSA signature", () => {
  const valid = Buffer.from("3006020101020102", "hex");

  test("is a sequence of two integers", () => {
    expect(parseEcdsaSignature(bytes(valid))).toEqual({ r: 1n, s: 2n });
    expect(parseEcdsaSignature(bytes(Buffer.from("30080202008102020082", "hex")))).toEqual({
      r: 0x81n,
      s: 0x82n,
    });
  });

  test.each([
    ["empty", ""],
    ["cut off", "30060201010201"],
    ["followed by more", "300602010102010200"],
    ["with a third integer", "3009020101020102020103"],
    ["with a negative integer", "3006020181020102"],
    ["with a zero", "3006020100020102"],
    ["with a superfluous zero", "300702020001020102"],
    ["with an integer of no bytes", "30050200020102"],
    ["with a length in two bytes that one can hold", "308106020101020102"],
    ["not a sequence", "3106020101020102"],
    ["not of integers", "3006030101020102"],
  ])("is not %s", (_, hex) => {
    expect(parseEcdsaSignature(bytes(Buffer.from(hex, "hex")))).toBeUndefined();
  });
});

describe("RSA", () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

  test("agrees with OpenSSL, with the data and with its digest", async () => {
    const key = await read(publicKey);
    const signature = bytes(sign("sha256", Buffer.from("one"), privateKey));
    expect(key.verifyDigest?.(digestOf("sha256", Buffer.from("one")), signature)).toBe(true);
    expect(await key.verify(bytes(Buffer.from("one")), signature)).toBe(true);
    expect(key.verifyDigest?.(digestOf("sha256", Buffer.from("two")), signature)).toBe(false);
    expect(await key.verify(bytes(Buffer.from("two")), signature)).toBe(false);
  });

  test("refuses a signature of another length or padding", async () => {
    const key = await read(publicKey);
    const digest = digestOf("sha256", Buffer.from("one"));
    const signature = bytes(sign("sha256", Buffer.from("one"), privateKey));
    const pss = { key: privateKey, padding: 6, saltLength: 32 };
    const longer = bytes(Buffer.concat([Buffer.of(0), signature]));
    expect(key.verifyDigest?.(digest, longer)).toBe(false);
    expect(key.verifyDigest?.(digest, bytes(sign("sha256", Buffer.from("one"), pss)))).toBe(false);
    expect(key.verifyDigest?.(digestOf("sha512", Buffer.from("one")), signature)).toBe(false);
  });
});

describe("a public key", () => {
  test("of Ed25519 verifies data", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const key = await read(publicKey);
    const signature = bytes(sign(null, Buffer.from("one"), privateKey));
    expect(await key.verify(bytes(Buffer.from("one")), signature)).toBe(true);
    expect(await key.verify(bytes(Buffer.from("two")), signature)).toBe(false);
    expect(key.verifyDigest).toBeUndefined();
  });

  test.each([
    ["of another kind", () => generateKeyPairSync("x25519")],
    ["of RSA with 1024 bits", () => generateKeyPairSync("rsa", { modulusLength: 1024 })],
    ["on another curve", () => generateKeyPairSync("ec", { namedCurve: "P-521" })],
  ])("%s is not read", async (_, generate) => {
    const der = generate().publicKey.export({ type: "spki", format: "der" });
    expect(await importPublicKey(bytes(der))).toBeUndefined();
  });

  test("that is not on its curve is not read", async () => {
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const spki = bytes(publicKey.export({ type: "spki", format: "der" }));
    spki[spki.byteLength - 1] = (spki.at(-1) ?? 0) ^ 1;
    expect(await importPublicKey(spki)).toBeUndefined();
  });

  test.each(["", "MFkw", "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----"])(
    "is not read from %j",
    async (pem) => {
      expect(await importPublicKeyPem(pem)).toBeUndefined();
    },
  );
});
