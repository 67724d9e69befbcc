import { describe, expect, it } from "vitest";
import {
  beginSwitch,
  cancelSwitch,
  commitSwitch,
  type DeployedRelease,
  type DeployState,
  EMPTY_STATE,
  sameBytes,
  wayBack,
  withRelease,
} from "../../src/deploy/state.ts";

/** A state in which v1 to v4 are in the directories d1 to d4. */
function stateOf(over: Partial<DeployState>, ...badTags: string[]): DeployState {
  const releases = ["1", "2", "3", "4"].map((number) => ({
    id: number,
    tag: `v${number}`,
    artifact: "app",
    revision: number,
    directory: `d${number}`,
    stagedAt: "",
  }));
  const bad = badTags.map((tag) => ({ tag, revision: tag.slice(1), reason: "crashed", at: "" }));
  return { ...EMPTY_STATE, releases, bad, ...over };
}

describe("wayBack", () => {
  it.each([
    ["is what is live", stateOf({ previous: "d1" }), "d2", "d2"],
    ["is nothing where nothing is live", stateOf({}), undefined, undefined],
    [
      "is what was live before a release on probation",
      stateOf({ switching: { to: "d3", from: "d2" } }),
      "d3",
      "d2",
    ],
    [
      "is nothing behind the first release ever",
      stateOf({ switching: { to: "d1" } }),
      "d1",
      undefined,
    ],
    ["passes over what is bad", stateOf({ previous: "d1" }, "v2"), "d2", "d1"],
    [
      "passes over it behind a release on probation",
      stateOf({ previous: "d1", switching: { to: "d3", from: "d2" } }, "v2"),
      "d3",
      "d1",
    ],
    ["is what is bad where there is nothing else", stateOf({}, "v2"), "d2", "d2"],
    [
      "is what is bad where the one before is bad, too",
      stateOf({ previous: "d1" }, "v1", "v2"),
      "d2",
      "d2",
    ],
    ["does not lead to a release that nobody knows", stateOf({ previous: "d9" }, "v2"), "d2", "d2"],
  ])("%s", (_, state, live, way) => {
    expect(wayBack(state, live)).toBe(way);
  });
});

describe("a switch", () => {
  it("away from a release that kept crashing never makes that the previous one", () => {
    const begun = beginSwitch(stateOf({ previous: "d1" }, "v2"), "d3", "d2");
    expect(begun.switching).toEqual({ to: "d3", from: "d1" });
    expect(commitSwitch(begun, "d3")).toMatchObject({ previous: "d1" });
    const alone = commitSwitch(beginSwitch(stateOf({}, "v2"), "d3", "d2"), "d3");
    expect(alone).not.toHaveProperty("previous");
    expect(alone).not.toHaveProperty("switching");
  });

  it("away from a release that keeps crashing meanwhile does not make that the previous one either", () => {
    const begun = beginSwitch(stateOf({ previous: "d1" }), "d3", "d2");
    expect(commitSwitch({ ...begun, bad: stateOf({}, "v2").bad }, "d3").previous).toBe("d1");
  });

  it("to the same directory keeps the previous one", () => {
    const begun = beginSwitch(stateOf({ previous: "d1" }), "d2", "d2");
    expect(commitSwitch(begun, "d2")).toMatchObject({ previous: "d1" });
  });

  it("that did not happen leaves a release on probation there", () => {
    const baking = stateOf({ previous: "d1", switching: { to: "d3", from: "d2" } });
    expect(cancelSwitch(beginSwitch(baking, "d4", "d3"), "d3")).toEqual(baking);
  });

  it("that did not happen leaves nothing behind", () => {
    const state = stateOf({ previous: "d1" });
    expect(cancelSwitch(beginSwitch(state, "d3", "d2"), "d2")).toEqual(state);
    expect(cancelSwitch(beginSwitch(state, "d3", undefined), undefined)).toEqual(state);
  });
});

function release(tag: string): DeployedRelease {
  return { id: "1", tag, artifact: "app.tar.gz", revision: tag, directory: tag, stagedAt: "" };
}

describe("withRelease", () => {
  it("remembers the bytes of the last 500 tags", () => {
    let state = EMPTY_STATE;
    for (let patch = 0; patch < 600; patch += 1)
      state = withRelease(state, release(`v1.0.${patch}`));
    expect(state.known).toHaveLength(500);
    expect(state.known[0]?.tag).toBe("v1.0.100");
    expect(state.known.at(-1)?.tag).toBe("v1.0.599");
  });
});

describe("sameBytes", () => {
  const sha256 = `sha256:${"0".repeat(64)}`;
  const md5 = `md5:${"1".repeat(32)}`;

  it.each([
    ["the same digest, whatever the revision", { digest: sha256, revision: "2" }, true],
    ["another digest", { digest: sha256.replace("0", "1"), revision: "1" }, false],
    ["a digest of another algorithm and the same revision", { digest: md5, revision: "1" }, true],
    ["a digest of another algorithm and another revision", { digest: md5, revision: "2" }, false],
    ["only a digest of another algorithm", { digest: md5 }, false],
    ["only the same revision", { revision: "1" }, true],
    ["only another revision", { revision: "2" }, false],
    ["nothing to tell them apart by", {}, true],
  ])("%s", (_, other, expected) => {
    const known = { digest: sha256, revision: "1" };
    expect(sameBytes(known, other)).toBe(expected);
    expect(sameBytes(other, known)).toBe(expected);
  });
});
