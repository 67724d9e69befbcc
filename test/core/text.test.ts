import { describe, expect, test } from "vitest";
import { lastWithin, outputForPeople, printable, shorten } from "../../src/core/text.ts";

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

const ESC = "\u001b";
const shown = (line: string): string | undefined => outputForPeople([line], String)[0];

test.each([
  ["colours", `${ESC}[1;31merror${ESC}[0m: no database`, "error: no database"],
  ["a title and a link", `${ESC}]0;app\u0007${ESC}]8;;http://a${ESC}\\a${ESC}]8;;${ESC}\\`, "a"],
  ["a cleared screen", `${ESC}c${ESC}[2J${ESC}(Bready`, "ready"],
  ["what a progress bar has overwritten", "10 %\r50 %\rdone", "done"],
  ["the end of a line of Windows", "ready\r", "ready"],
])("the output loses %s", (_, line, expected) => {
  expect(shown(line)).toBe(expected);
});

test("the output shows other control characters, and keeps tabs", () => {
  expect(shown("a\tb\u0000\u202e")).toBe("a\tb\\x00\\u202e");
});

test("the output has no secret, even if colours divide it", () => {
  const redact = (line: string): string => line.replaceAll("hunter2", "…");
  expect(outputForPeople([`key=hun${ESC}[1mter2`], redact)).toEqual(["key=…"]);
});

test("the last 200 lines are kept, and no more than 64 KiB of them", () => {
  const numbers = Array.from({ length: 300 }, (_, number) => `${number}`);
  expect(lastWithin(numbers)).toEqual(numbers.slice(100));
  const long = numbers.map((number) => `${number} ${"ü".repeat(500)}`);
  const kept = lastWithin(long);
  expect(kept).toEqual(long.slice(-kept.length));
  const bytes = new TextEncoder().encode(kept.join("\n")).byteLength;
  expect(bytes).toBeLessThanOrEqual(65_536);
  expect(bytes).toBeGreaterThan(64_000);
});

test("a line without an end is cut", () => {
  expect(shown("x".repeat(100_000))).toBe("x".repeat(4_096));
});
