import { describe, expect, test } from "vitest";
import {
  compareTags,
  firstSeen,
  liftSkips,
  pause,
  pinTo,
  resume,
  skip,
  skippedBy,
  skipUpTo,
  unpin,
  unskip,
  withSeen,
} from "../../src/deploy/decisions.ts";
import { type DeployState, EMPTY_STATE } from "../../src/deploy/state.ts";

const NOW = Date.UTC(2026, 0, 1);
const AT = "2026-01-01T00:00:00.000Z";
const ALICE = { user: "alice", message: "known to work" };
const BOB = { user: "bob" };
const WHEN = { now: NOW, calver: "" };

function upTo(...tags: string[]): DeployState {
  return tags.reduce((state, tag) => skipUpTo(state, tag, ALICE, WHEN), EMPTY_STATE);
}

describe("pin and pause", () => {
  test("record who asked, when and why", () => {
    expect(pinTo(EMPTY_STATE, "v1.0.0", ALICE, WHEN).pinned).toEqual({
      ...ALICE,
      tag: "v1.0.0",
      at: AT,
    });
    expect(pause(EMPTY_STATE, ALICE, NOW).paused).toEqual({ ...ALICE, at: AT });
  });

  test("change nothing the second time", () => {
    const pinned = pinTo(EMPTY_STATE, "v1.0.0", ALICE, WHEN);
    expect(pinTo(pinned, "v1.0.0", BOB, WHEN)).toBe(pinned);
    expect(pinTo(pinned, "v2.0.0", BOB, WHEN).pinned).toMatchObject({ user: "bob", tag: "v2.0.0" });
    const paused = pause(EMPTY_STATE, ALICE, NOW);
    expect(pause(paused, BOB, NOW)).toBe(paused);
  });

  test("are taken back, which changes nothing without them", () => {
    expect(unpin(pinTo(EMPTY_STATE, "v1.0.0", ALICE, WHEN))).toEqual(EMPTY_STATE);
    expect(resume(pause(EMPTY_STATE, ALICE, NOW))).toEqual(EMPTY_STATE);
    expect(unpin(EMPTY_STATE)).toBe(EMPTY_STATE);
    expect(resume(EMPTY_STATE)).toBe(EMPTY_STATE);
  });

  test("a pin lifts the skips of its version", () => {
    expect(pinTo(upTo("v1.0.0"), "v1.0.0", ALICE, WHEN).skipped).toBeUndefined();
    expect(pinTo(upTo("v2.0.0"), "v1.0.0", ALICE, WHEN).skipped).toHaveLength(1);
  });
});

describe("skip", () => {
  test.each([
    ["v1.2.0", true],
    ["v1.1.9", false],
    ["v1.2.1", false],
    ["1.2.0", false],
  ])("skips one version: %s %s", (tag, isSkipped) => {
    const state = skip(EMPTY_STATE, "v1.2.0", ALICE, NOW);
    expect(skippedBy(state, tag, "") !== undefined).toBe(isSkipped);
  });

  test.each([
    ["v1.2.0", true],
    ["1.2.0", true],
    ["v1.2.0+blue", true],
    ["v1.2.0_blue", true],
    ["v1.2.0-rc.1", true],
    ["v0.9.0", true],
    ["v1.2.1-rc.1", false],
    ["v1.2.1", false],
    ["nightly-7", false],
  ])("skips everything up to the version left behind: %s %s", (tag, isSkipped) => {
    expect(skippedBy(upTo("v1.2.0"), tag, "") !== undefined).toBe(isSkipped);
  });

  test("a tag that is not a version covers itself only", () => {
    const state = upTo("nightly-7");
    expect(skippedBy(state, "nightly-7", "")).toMatchObject({ tag: "nightly-7" });
    expect(skippedBy(state, "nightly-6", "")).toBeUndefined();
    expect(skippedBy(state, "v1.0.0", "")).toBeUndefined();
  });

  test("follows the calver format", () => {
    const state = skipUpTo(EMPTY_STATE, "2026.02.1", ALICE, { now: NOW, calver: "YYYY.0M.MICRO" });
    expect(skippedBy(state, "2026.01.9", "YYYY.0M.MICRO")).toBeDefined();
    expect(skippedBy(state, "2026.03.0", "YYYY.0M.MICRO")).toBeUndefined();
  });

  test("a wider entry replaces narrower ones, and no others", () => {
    const state = skip(skip(EMPTY_STATE, "v1.0.0", BOB, NOW), "v3.0.0", BOB, NOW);
    expect(skipUpTo(state, "v2.0.0", ALICE, WHEN).skipped).toEqual([
      { user: "bob", tag: "v3.0.0", at: AT },
      { ...ALICE, tag: "v2.0.0", andEarlier: true, at: AT },
    ]);
    expect(upTo("v1.0.0", "v2.0.0").skipped).toHaveLength(1);
  });

  test("changes nothing the second time", () => {
    const state = skip(EMPTY_STATE, "v1.2.0", ALICE, NOW);
    expect(skip(state, "v1.2.0", BOB, NOW)).toBe(state);
  });

  test("keeps the latest hundred", () => {
    let state: DeployState = EMPTY_STATE;
    for (let nth = 0; nth <= 100; nth++) state = skip(state, `v1.0.${nth}`, ALICE, NOW);
    expect(state.skipped).toHaveLength(100);
    expect(skippedBy(state, "v1.0.0", "")).toBeUndefined();
    expect(skippedBy(state, "v1.0.100", "")).toBeDefined();
  });
});

describe("unskip", () => {
  const state = skip(upTo("v2.0.0"), "v3.0.0", BOB, NOW);

  test("removes one entry, or all", () => {
    expect(unskip(state, "v3.0.0").skipped).toMatchObject([{ tag: "v2.0.0" }]);
    expect(unskip(state, undefined)).toEqual(EMPTY_STATE);
    expect(unskip(state, "v1.0.0")).toBe(state);
    expect(unskip(EMPTY_STATE, undefined)).toBe(EMPTY_STATE);
  });
});

describe("the deploy of a version", () => {
  test.each([
    ["v2.0.0", undefined],
    ["v2.1.0", undefined],
    ["v1.9.0", ["v2.0.0"]],
    ["nightly-7", ["v2.0.0"]],
  ])("%s lifts the skips that it satisfies", (tag, left) => {
    const { skipped } = liftSkips(upTo("v2.0.0"), tag, "");
    expect(skipped?.map((one) => one.tag)).toEqual(left);
  });

  test("lifts no skip of another version", () => {
    const state = skip(EMPTY_STATE, "v1.2.0", ALICE, NOW);
    expect(liftSkips(state, "v1.3.0", "")).toBe(state);
    expect(liftSkips(state, "v1.2.0", "")).toEqual(EMPTY_STATE);
  });
});

describe("what this host has seen", () => {
  const seen = withSeen(EMPTY_STATE, "v1.0.0", { digest: "sha256:aa" }, NOW);

  test("is recorded once for a tag with its bytes", () => {
    expect(seen.seen).toEqual([{ tag: "v1.0.0", digest: "sha256:aa", at: AT }]);
    expect(withSeen(seen, "v1.0.0", { digest: "sha256:aa" }, NOW + 1)).toBe(seen);
    const other = withSeen(seen, "v1.0.0", { digest: "sha256:bb" }, NOW + 1);
    expect(firstSeen(other, "v1.0.0", { digest: "sha256:bb" })).toBe(NOW + 1);
    expect(firstSeen(other, "v1.0.0", { digest: "sha256:aa" })).toBe(NOW);
    expect(firstSeen(other, "v2.0.0", { digest: "sha256:aa" })).toBeUndefined();
  });

  test("is recorded again if the clock was put back", () => {
    const again = withSeen(seen, "v1.0.0", { digest: "sha256:aa" }, NOW - 1000);
    expect(firstSeen(again, "v1.0.0", { digest: "sha256:aa" })).toBe(NOW - 1000);
    expect(again.seen).toHaveLength(1);
  });

  test("keeps the latest five hundred", () => {
    let state: DeployState = EMPTY_STATE;
    for (let nth = 0; nth <= 500; nth++) state = withSeen(state, `v1.0.${nth}`, {}, NOW);
    expect(state.seen).toHaveLength(500);
    expect(firstSeen(state, "v1.0.0", {})).toBeUndefined();
  });
});

test.each([
  ["v1.0.0", "v1.1.0", -1],
  ["v1.1.0", "1.1.0", 0],
  ["v1.2.0_blue", "v1.1.0+blue", 1],
  ["v1.0.0", "nightly", undefined],
])("%s compared with %s: %s", (a, b, order) => {
  expect(compareTags(a, b, "")).toBe(order);
});
