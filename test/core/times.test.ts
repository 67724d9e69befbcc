import { describe, expect, test } from "vitest";
import { ago, ahead, span } from "../../src/core/times.ts";

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
