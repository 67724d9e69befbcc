import { expect, test } from "vitest";
import { backoffMs } from "../../src/http/retry.ts";

test.each([
  [1, 500],
  [2, 1_000],
  [4, 4_000],
  [5, 8_000],
  [6, 8_000],
  [50, 8_000],
])("attempt %i is followed by a pause of at most %i ms", (attempt, ms) => {
  expect(backoffMs(attempt, () => 0)).toBe(0);
  expect(backoffMs(attempt, () => 0.5)).toBe(ms / 2);
  expect(backoffMs(attempt, () => 1)).toBe(ms);
});
