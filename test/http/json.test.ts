import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RemoteError } from "../../src/core/error.ts";
import { parseJson } from "../../src/http/json.ts";

const URL_A = "https://registry.example/v2/";
const parse = (text: string): unknown => parseJson(text, URL_A, "is this a registry?");
/** Only long texts are looked through before they are parsed. */
const parseLong = (text: string): unknown => parse(text + " ".repeat(300_001));

/** So many members, each with another key. */
function members(count: number, between = ","): string {
  return Array.from({ length: count }, (_, nth) => `"k${nth}" : 1`).join(between);
}

describe("parseJson", () => {
  test("reads what JSON.parse reads, brackets in strings included", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), (text) => {
        expect(parse(text)).toEqual(JSON.parse(text));
        expect(parseLong(text)).toEqual(JSON.parse(text));
      }),
    );
    const tricky = { '["\\"': ["[".repeat(200), '\\"[{', "\\"] };
    expect(parseLong(JSON.stringify(tricky))).toEqual(tricky);
    const quoted = `"${"[".repeat(200)}`;
    expect(parseLong(JSON.stringify(quoted))).toBe(quoted);
  });

  test.each([
    ["arrays without an end", "[".repeat(15_000_000), "nested deeper than 64 levels"],
    ["objects without an end", '{"a":'.repeat(3_000_000), "nested deeper than 64 levels"],
    ["a list of empty objects", `[${"{},".repeat(5_000_000)}{}]`, "more than 937500 arrays"],
    ["a short list of empty objects", `[${"{},".repeat(900_000)}{}]`, "more than 168750 arrays"],
    ["an object of a million keys", `{${members(1_000_000)}}`, "more than 10000 different keys"],
    ["objects of one key each", `[{${members(500_000, "},{")}}]`, "more than 10000 different keys"],
  ])("refuses %s before it takes a multiple of their size", (_, text, why) => {
    const before = process.memoryUsage().heapTotal;
    expect(() => parse(text)).toThrow(why);
    expect(process.memoryUsage().heapTotal - before).toBeLessThan(8 * text.length);
  });

  test("parses a short text unseen, as it cannot have more objects than are allowed", () => {
    const text = `[${"{},".repeat(99_998)}{}]`;
    expect(text.length).toBeLessThanOrEqual(300_000);
    expect(parse(text)).toHaveLength(99_999);
  });

  test.each(["", "<html>", '{"a":', '"unterminated', "[1,]"])(
    "says that %j is not JSON",
    (text) => {
      expect(() => parse(text)).toThrow(
        "Cannot read https://registry.example/v2/: the response is not JSON; is this a registry?",
      );
      expect(() => parse(text)).toThrow(RemoteError);
    },
  );
});
