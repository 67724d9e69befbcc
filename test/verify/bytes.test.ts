import { expect, test } from "vitest";
import { decodeCanonical } from "../../src/verify/bytes.ts";

test("base64 has one spelling", () => {
  expect(decodeCanonical("QUI=")).toEqual(new TextEncoder().encode("AB"));
  for (const text of ["QUJ=", "QUI", "QUI=\n", " QUI=", "QU-_", "Q"]) {
    expect(decodeCanonical(text)).toBeUndefined();
  }
});
