import { expect, test } from "vitest";
import { textTable } from "../../../src/cli/commands/text_table.ts";

test("columns are as wide as their widest cell, and nothing is padded behind the last one", () => {
  expect(
    textTable(
      [
        ["a", "bb", "c"],
        ["aaa", "b", "cccc"],
      ],
      "> ",
    ),
  ).toBe("> a    bb  c\n> aaa  b   cccc\n");
});

test("a name of ten million characters makes no line much longer than the others", () => {
  const long = "x".repeat(10_000_000);
  const lines = textTable([
    ["*", "v1.0.0", "chosen"],
    ["", long, "too long"],
    ["", "v0.9.0", long],
  ]);
  const [first = "", second = "", third = ""] = lines.split("\n");
  expect(first).toHaveLength(268);
  expect(second).toBe(`   ${"x".repeat(256)}…  too long`);
  expect(third.length).toBeLessThan(9000);
});
