import { expect, test } from "vitest";
import { formatBytes } from "../../src/core/bytes.ts";
import { parseDigest } from "../../src/core/digest.ts";

const hex = "0123456789abcdef".repeat(4);

test("parseDigest reads algorithm and hex", () => {
  expect(parseDigest(`sha256:${hex}`)).toEqual({ algorithm: "sha256", hex });
  expect(parseDigest(`md5:${hex.slice(0, 32)}`)).toEqual({
    algorithm: "md5",
    hex: hex.slice(0, 32),
  });
  expect(parseDigest("crc64nvme:0123456789abcdef")).toEqual({
    algorithm: "crc64nvme",
    hex: "0123456789abcdef",
  });
  expect(parseDigest("whirlpool:00ff")).toEqual({ algorithm: "whirlpool", hex: "00ff" });
});

test.each([
  "",
  "sha256",
  "sha256:",
  `sha256:${hex.slice(1)}`,
  `sha256:${hex}0`,
  `sha256:${hex.toUpperCase()}`,
  `SHA256:${hex}`,
  ` sha256:${hex}`,
  `sha256:${hex}\n`,
  hex,
  `sha256:${hex.slice(0, 63)}g`,
  "md5:00",
])("parseDigest takes %j for no digest", (text) => {
  expect(parseDigest(text)).toBeUndefined();
});

test.each([
  [0, "0 B"],
  [512, "512 B"],
  [1023, "1023 B"],
  [1024, "1 KiB"],
  [1536, "1.5 KiB"],
  [1_048_575, "1 MiB"],
  [2 * 1024 ** 3, "2 GiB"],
  [5.25 * 1024 ** 2, "5.3 MiB"],
])("formatBytes(%d) is %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
