import { expect, test } from "vitest";
import { OwnLines } from "../../src/admin/own_lines.ts";

test("the last 200 lines of the log are kept", () => {
  const lines = new OwnLines();
  for (let number = 0; number < 1_000; number += 1) lines.write(`line ${number}\n`);
  expect(lines.last()).toHaveLength(200);
  expect(lines.last()[0]).toBe("line 800");
  expect(lines.last().at(-1)).toBe("line 999");
});

test("what was returned does not change with the next line", () => {
  const lines = new OwnLines();
  lines.write("one\n");
  const last = lines.last();
  lines.write("two\n");
  expect(last).toEqual(["one"]);
});
