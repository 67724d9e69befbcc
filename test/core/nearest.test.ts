import { expect, test } from "vitest";
import { nearest } from "../../src/core/text.ts";

const NAMES = ["--registry", "--interval", "--slot", "--once"];

test.each([
  ["--regsitry", "--registry"],
  ["--intervl", "--interval"],
  ["--slots", "--slot"],
  ["--onec", "--once"],
  ["--registry", "--registry"],
])("nearest takes %s for %s", (typed, meant) => {
  expect(nearest(typed, NAMES)).toBe(meant);
});

test("nearest says nothing when nothing is near", () => {
  expect(nearest("--frobnicate", NAMES)).toBeUndefined();
  expect(nearest("--x", [])).toBeUndefined();
});
