import { expect, test } from "vitest";
import { parseBytes } from "../../src/core/bytes.ts";

test.each([
  ["0", 0],
  ["1048576", 1_048_576],
  ["512B", 512],
  ["2GiB", 2 * 1024 ** 3],
  ["2G", 2 * 1024 ** 3],
  ["2gb", 2e9],
  ["1.5 MiB", 1.5 * 1024 ** 2],
  ["1k", 1024],
])("parseBytes reads %j as %i", (text, bytes) => {
  expect(parseBytes(text)).toBe(bytes);
});

test.each(["", "-1", "GiB", "1 2", "1PB", "1e3", "0x10", "9999999T"])(
  "parseBytes refuses %j",
  (text) => {
    expect(parseBytes(text)).toBeUndefined();
  },
);
