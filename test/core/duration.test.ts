import fc from "fast-check";
import { expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../src/core/duration.ts";

test.each([
  ["10", 10_000],
  ["0", 0],
  ["1.5", 1500],
  ["30s", 30_000],
  ["5m", 300_000],
  ["1h30m", 5_400_000],
  ["1.5s", 1500],
  [".5s", 500],
  ["1.s", 1000],
  ["100ms", 100],
  ["250us", 0.25],
  ["250µs", 0.25],
  ["250μs", 0.25],
  ["500ns", 0.0005],
  ["2h0m0s", 7_200_000],
  ["300s", 300_000],
  ["0s", 0],
])("parseDuration reads %s", (text, ms) => {
  expect(parseDuration(text)).toBeCloseTo(ms, 9);
});

test.each([
  "",
  " ",
  "s",
  "10 s",
  " 10",
  "10s ",
  "-1s",
  "+1s",
  "1d",
  "1S",
  "1m30",
  "1e3",
  "1e3s",
  "0x10",
  ".",
  ".s",
  "1..5s",
  "ten",
  "Infinity",
  "NaN",
  "1,5s",
  "99999999999999999999h",
  "1".repeat(100),
])("parseDuration takes %j for no duration", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test.each([
  [0, "0s"],
  [1500, "1.5s"],
  [120_000, "2m0s"],
  [3_600_000, "1h0m0s"],
  [5_400_000, "1h30m0s"],
  [100, "100ms"],
  [0.25, "250µs"],
  [0.0005, "500ns"],
  [59_999, "59.999s"],
  [61_500, "1m1.5s"],
  [-1500, "-1.5s"],
  [90_000_000, "25h0m0s"],
])("formatDuration(%d) is %s", (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test("formatDuration writes what parseDuration reads", () => {
  fc.assert(
    fc.property(fc.nat({ max: 1e10 }), (ms) => {
      expect(parseDuration(formatDuration(ms))).toBeCloseTo(ms, 3);
    }),
  );
});
