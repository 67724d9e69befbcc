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
  withoutReleases,
  withRelease,
} from "../../src/deploy/state.ts";

const NOW = Date.UTC(2026, 0, 1);

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
    ["is the live release", stateOf({ previous: "d1" }), "d2", "d2"],
    ["is nothing if nothing is live", stateOf({}), undefined, undefined],
    [
      "is the release before a baking one",
      stateOf({ switching: { to: "d3", from: "d2" } }),
      "d3",
      "d2",
    ],
    [
      "is nothing for the first release ever",
      stateOf({ switching: { to: "d1" } }),
      "d1",
      undefined,
    ],
    ["skips a bad release", stateOf({ previous: "d1" }, "v2"), "d2", "d1"],
    [
      "skips a bad release before a baking one",
      stateOf({ previous: "d1", switching: { to: "d3", from: "d2" } }, "v2"),
      "d3",
      "d1",
    ],
    [
      "from a failed baking release is the last good release",
      stateOf({ previous: "d1", switching: { to: "d4", from: "d2" } }, "v3"),
      "d3",
      "d2",
    ],
    [
      "from a redeployed good release is not that release itself",
      stateOf({ switching: { to: "d2", from: "d2" } }, "v2"),
      "d2",
      undefined,
    ],
    ["is a bad release if there is nothing else", stateOf({}, "v2"), "d2", "d2"],
    [
      "is a bad release if the previous one is bad, too",
      stateOf({ previous: "d1" }, "v1", "v2"),
      "d2",
      "d2",
    ],
    ["is never a release without a record", stateOf({ previous: "d9" }, "v2"), "d2", "d2"],
  ])("%s", (_, state, live, way) => {
    expect(wayBack(state, live)).toBe(way);
  });
});

describe("a switch", () => {
  it("away from a crash-looping release never makes that the previous one", () => {
    const begun = beginSwitch(stateOf({ previous: "d1" }, "v2"), "d3", "d2");
    expect(begun.switching).toEqual({ to: "d3", from: "d1" });
    expect(commitSwitch(begun, "d3", NOW)).toMatchObject({ previous: "d1" });
    const alone = commitSwitch(beginSwitch(stateOf({}, "v2"), "d3", "d2"), "d3", NOW);
    expect(alone.previous).toBeUndefined();
    expect(alone.switching).toBeUndefined();
  });

  it("does not make a release the previous one that starts to crash during the switch", () => {
    const begun = beginSwitch(stateOf({ previous: "d1" }), "d3", "d2");
    expect(commitSwitch({ ...begun, bad: stateOf({}, "v2").bad }, "d3", NOW).previous).toBe("d1");
  });

  it("to the same directory keeps the previous one", () => {
    const begun = beginSwitch(stateOf({ previous: "d1" }), "d2", "d2");
    expect(commitSwitch(begun, "d2", NOW)).toMatchObject({ previous: "d1" });
  });

  it("that did not happen keeps the switch of a baking release", () => {
    const baking = stateOf({ previous: "d1", switching: { to: "d3", from: "d2" } });
    expect(cancelSwitch(beginSwitch(baking, "d4", "d3"), "d3", true)).toEqual(baking);
  });

  it("that did not happen leaves nothing behind", () => {
    const state = stateOf({ previous: "d1" });
    expect(cancelSwitch(beginSwitch(state, "d3", "d2"), "d2", true)).toEqual(state);
    expect(cancelSwitch(beginSwitch(state, "d3", undefined), undefined, true)).toEqual(state);
  });
});

function release(tag: string): DeployedRelease {
  return { id: "1", tag, artifact: "app.tar.gz", revision: tag, directory: tag, stagedAt: "" };
}

describe("withoutReleases", () => {
  it("clears a previous release that is gone", () => {
    expect(withoutReleases(stateOf({ previous: "d1" }), ["d1"]).previous).toBeUndefined();
    expect(withoutReleases(stateOf({ previous: "d1" }), ["d2"])).toHaveProperty("previous", "d1");
  });

  it("replaces a rollback target that is gone by the previous release", () => {
    const baking = stateOf({ previous: "d1", switching: { to: "d3", from: "d2" } });
    expect(withoutReleases(baking, ["d2"]).switching).toEqual({ to: "d3", from: "d1" });
    expect(withoutReleases(baking, ["d1", "d2"]).switching).toEqual({ to: "d3" });
    expect(withoutReleases(baking, ["d1"]).switching).toEqual({ to: "d3", from: "d2" });
  });

  it("adds no rollback target to a switch without one", () => {
    const first = stateOf({ previous: "d1", switching: { to: "d3" } });
    expect(withoutReleases(first, ["d2"]).switching).toEqual({ to: "d3" });
  });
});

describe("withRelease", () => {
  it("records the bytes of the last 500 tags", () => {
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
