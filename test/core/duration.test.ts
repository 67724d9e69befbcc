import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ago, ahead, formatDuration, parseDuration, span } from "../../src/core/duration.ts";

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

const NOW = Date.UTC(2026, 4, 1, 12, 0, 0);
const at = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

describe("times for people", () => {
  test.each([
    [0, "1 s"],
    [59, "59 s"],
    [60, "1 min"],
    [3_599, "59 min"],
    [3_600, "1 h"],
    [2 * 86_400 - 1, "47 h"],
    [2 * 86_400, "2 days"],
    [400 * 86_400, "400 days"],
  ])("%d seconds are %s", (seconds, text) => {
    expect(span(seconds * 1000)).toBe(text);
  });

  test("the past is ago, and a wrong clock does not make it the future", () => {
    expect(ago(at(-180), NOW)).toBe("3 min ago");
    expect(ago(at(-1), NOW)).toBe("just now");
    expect(ago(at(60), NOW)).toBe("just now");
    expect(ago("yesterday", NOW)).toBe("at an unknown time");
  });

  test("the future is ahead until it has come", () => {
    expect(ahead(at(20), NOW)).toBe("in 20 s");
    expect(ahead(at(0), NOW)).toBe("now");
  });
});
