import { describe, expect, test } from "vitest";
import { cutEnd, cutStart, fitText, fullText } from "../../src/notifiers/card.ts";
import { code, plainText, type RichText } from "../../src/notifiers/rich_text.ts";
import { hookNote, note } from "./notes.ts";

describe("the text of a message", () => {
  test("shows control characters instead of obeying them", () => {
    const text: RichText = ["a\u0007\u202eb\n\tc", code("\u001b[31m"), { lines: ["\u0000"] }];
    expect(plainText(fullText(note(text)))).toBe("a\\x07\\u202eb\n\tc\\x1b[31m\n\\x00");
  });
  test("of a hook without output has no empty blocks", () => {
    expect(plainText(fullText(hookNote()))).toBe("✗ Before Deploy Hook: make\nDuration: 1.5s");
  });
});

describe("a text that is too long", () => {
  test.each([
    ["abc", 3, "abc"],
    ["abcdef", 3, "abc… (3 more characters truncated)"],
    ["ab\ncd\nef", 6, "ab\ncd\n… (3 more characters truncated)"],
    ["a🙂b", 2, "a… (3 more characters truncated)"],
  ])("%j keeps its start in %i characters", (text, length, expected) => {
    expect(cutEnd(text, length)).toBe(expected);
  });
  test.each([
    ["abc", 3, "abc"],
    ["abcdef", 3, "… (3 characters truncated)\ndef"],
    ["ab\ncd\nef", 4, "… (6 characters truncated)\nef"],
    ["a🙂b", 2, "… (3 characters truncated)\nb"],
  ])("%j keeps its end in %i characters", (text, length, expected) => {
    expect(cutStart(text, length)).toBe(expected);
  });
  test("keeps the start of what happened, and the end of output", () => {
    const text: RichText = ["first ".repeat(200), { lines: ["one", "two ".repeat(300), "last"] }];
    const fitted = plainText(fitText(text, 1_000, (shorter) => plainText(shorter).length <= 1_000));
    expect(fitted).toMatch(/^first first/);
    expect(fitted).toMatch(/\nlast$/);
    expect(fitted.length).toBeLessThanOrEqual(1_000);
    expect(fitted.match(/truncated\)/g)).toHaveLength(2);
  });
  test("stays as it is if it fits", () => {
    const text: RichText = ["a", code("b"), { lines: ["c"] }];
    expect(fitText(text, 200, () => true)).toEqual(text);
  });
});
