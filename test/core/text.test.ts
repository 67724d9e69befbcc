import { describe, expect, test } from "vitest";
import { printable, shorten } from "../../src/core/text.ts";

describe("printable", () => {
  test.each([
    ["a\nb\rc\td", "a\\nb\\rc\\td"],
    ["\u0000\u001b[31m\u007f", "\\x00\\x1b[31m\\x7f"],
    ["\u0080\u009f", "\\x80\\x9f"],
    ["\u061c\u200e\u202e\ufeff", "\\u061c\\u200e\\u202e\\ufeff"],
    ["plain ~ é 日本", "plain ~ é 日本"],
  ])("shows %j as %s", (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  test("keeps the control characters that the caller names", () => {
    expect(printable("a\nb\tc", "\n")).toBe("a\nb\\tc");
  });
});

test("shorten marks only what it cuts", () => {
  expect(shorten("abc", 3)).toBe("abc");
  expect(shorten("abcd", 3)).toBe("abc…");
});
