import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { base64ToBytes, bytesToBase64, bytesToHex, sha256 } from "../../src/core/encoding.ts";

describe("encodings", () => {
  test("hash text and bytes alike", async () => {
    const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(bytesToHex(await sha256("abc"))).toBe(abc);
    expect(bytesToHex(await sha256(new Uint8Array([97, 98, 99])))).toBe(abc);
  });

  test("write two hexadecimal digits for each byte", () => {
    expect(bytesToHex(new Uint8Array([0, 9, 10, 255]))).toBe("00090aff");
    expect(bytesToHex(new Uint8Array())).toBe("");
  });

  test("give bytes back from Base64", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
        expect(base64ToBytes(bytesToBase64(bytes))).toEqual(Uint8Array.from(bytes));
      }),
    );
  });

  test.each(["", "abc", "ab=c", "ab==cd==", "a===", "=abcd===", "ab cd===", "ab-_", "abcd\n"])(
    "reject %j as Base64",
    (text) => {
      expect(base64ToBytes(text)).toBeUndefined();
    },
  );
});
