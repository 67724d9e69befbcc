import { describe, expect, it } from "vitest";
import {
  acceptBytes,
  cancelSwitch,
  commitSwitch,
  type DeployState,
  deployedRelease,
  directoriesIn,
  EMPTY_STATE,
  forgetAcceptances,
  markBad,
  retention,
  withoutAfterHook,
  withoutReleases,
  withRelease,
} from "../../src/deploy/state.ts";
import { candidate } from "./world.ts";

const NOW = Date.UTC(2026, 0, 1);

const release = (tag: string, directory = tag) => {
  const { release: resolved, artifact } = candidate(tag);
  return deployedRelease(resolved, artifact, directory, 0);
};

describe("the state of an app", () => {
  it("is empty at first", () => {
    expect(EMPTY_STATE).toEqual({ format: 1, releases: [], bad: [], known: [] });
  });

  it("records only the identities that the registry states", () => {
    const { release: resolved, artifact } = candidate("v1.0.0");
    const { revision: _, ...anonymous } = artifact;
    const recorded = JSON.parse(JSON.stringify(deployedRelease(resolved, anonymous, "d1", 0)));
    expect(Object.keys(recorded).sort()).toEqual([
      "artifact",
      "directory",
      "id",
      "stagedAt",
      "tag",
    ]);
    const digest = `sha256:${"1".repeat(64)}`;
    expect(deployedRelease(resolved, { ...anonymous, digest }, "d1", 0)).toMatchObject({ digest });
  });

  it("remembers the latest bytes of each artifact of a tag once", () => {
    const first = withRelease(EMPTY_STATE, release("v1.0.0", "d1"));
    const changed = { ...release("v1.0.0", "d2"), revision: "changed" };
    const other = { ...release("v1.0.0", "d3"), artifact: "other.tar.gz" };
    const state = [changed, other].reduce(withRelease, first);
    expect(state.known).toEqual([
      { tag: "v1.0.0", artifact: "app.tar.gz", revision: "changed" },
      { tag: "v1.0.0", artifact: "other.tar.gz", revision: "rev-v1.0.0" },
    ]);
  });

  it("keeps an acceptance with the bytes of the same artifact of the same tag", () => {
    const { artifact } = candidate("v1.0.0");
    const accepted = acceptBytes(EMPTY_STATE, "v1.0.0", artifact);
    expect(accepted.known).toEqual([
      { tag: "v1.0.0", artifact: "app.tar.gz", revision: "rev-v1.0.0", accepted: true },
    ]);
    const others = [
      { ...release("v1.0.0", "d1"), artifact: "other.tar.gz" },
      release("v1.1.0"),
      release("v1.0.0", "d2"),
    ];
    const state = others.reduce(withRelease, accepted);
    expect(state.known.map(({ tag, artifact: name, accepted: is }) => [tag, name, is])).toEqual([
      ["v1.0.0", "other.tar.gz", undefined],
      ["v1.1.0", "app.tar.gz", undefined],
      ["v1.0.0", "app.tar.gz", true],
    ]);
  });

  it("accepts the bytes of one artifact only", () => {
    const known = withRelease(EMPTY_STATE, {
      ...release("v1.0.0"),
      artifact: "other.tar.gz",
    });
    const state = acceptBytes(known, "v1.0.0", candidate("v1.0.0").artifact);
    expect(state.known.map(({ accepted }) => accepted)).toEqual([undefined, true]);
  });

  it("is the same object if there is no acceptance to forget", () => {
    const state = withRelease(EMPTY_STATE, release("v1.0.0"));
    expect(forgetAcceptances(state, [])).toBe(state);
    const accepted = acceptBytes(state, "v1.0.0", candidate("v1.0.0").artifact);
    expect(forgetAcceptances(accepted, ["v1.0.0"])).toBe(accepted);
    expect(forgetAcceptances(accepted, ["v1.1.0"]).known).toEqual(state.known);
  });

  it("refers to each directory once", () => {
    const state: DeployState = {
      ...[release("v1.0.0", "d1"), release("v2.0.0", "d2")].reduce(withRelease, EMPTY_STATE),
      previous: "d1",
      switching: { to: "d2", from: "d0" },
    };
    expect(directoriesIn(state)).toEqual(["d1", "d2", "d0"]);
    expect(directoriesIn(EMPTY_STATE)).toEqual([]);
  });

  it("has no rollback target in a directory that is gone", () => {
    const state: DeployState = {
      ...[release("v1.0.0", "d1"), release("v2.0.0", "d2")].reduce(withRelease, EMPTY_STATE),
      previous: "d1",
      switching: { to: "d2", from: "d0" },
    };
    expect(withoutReleases(state, ["d0"])).toEqual({
      ...state,
      switching: { to: "d2", from: "d1" },
    });
    const left = withoutReleases(state, ["d0", "d1"]);
    expect(left.previous).toBeUndefined();
    expect(left.switching).toEqual({ to: "d2" });
    expect(left.releases.map(({ directory }) => directory)).toEqual(["d2"]);
    expect(withoutReleases(EMPTY_STATE, ["d0"])).toEqual(EMPTY_STATE);
  });

  it("does not change at the commit of a switch that is not on record", () => {
    expect(commitSwitch(EMPTY_STATE, "d1", NOW)).toBe(EMPTY_STATE);
  });

  it("knows no previous tag for the after-deploy hook of a release that was deployed again", () => {
    const known = withRelease(EMPTY_STATE, release("v1.0.0", "d1"));
    const state: DeployState = { ...known, switching: { to: "d1", from: "d1" } };
    expect(commitSwitch(state, "d1", NOW).afterHook).toEqual({ directory: "d1" });
    expect(commitSwitch({ ...known, switching: { to: "d1" } }, "d1", NOW).afterHook).toEqual({
      directory: "d1",
    });
  });

  it("forgets an after-deploy hook only for its own directory", () => {
    const state: DeployState = { ...EMPTY_STATE, afterHook: { directory: "d1" } };
    expect(withoutAfterHook(state, "d2")).toBe(state);
    expect(withoutAfterHook(state, "d1")).toEqual(EMPTY_STATE);
    expect(withoutAfterHook(EMPTY_STATE, "d1")).toBe(EMPTY_STATE);
  });

  it("has no switch left if nothing is live", () => {
    const state: DeployState = { ...EMPTY_STATE, switching: { to: "d2", from: "d1" } };
    expect(cancelSwitch(state, undefined, true)).toEqual(EMPTY_STATE);
  });

  it("marks a tag bad once, with the latest reason, and the last hundred tags", () => {
    let state = markBad(EMPTY_STATE, release("v1.0.0"), "it crashed", 0);
    state = markBad(state, release("v1.1.0"), "it hung", 0);
    state = markBad(state, release("v1.0.0"), "it crashed again", 1000);
    expect(state.bad).toEqual([
      { tag: "v1.1.0", revision: "rev-v1.1.0", reason: "it hung", at: new Date(0).toISOString() },
      {
        ...{ tag: "v1.0.0", revision: "rev-v1.0.0", reason: "it crashed again" },
        at: new Date(1000).toISOString(),
      },
    ]);
    for (let patch = 0; patch < 120; patch += 1) {
      state = markBad(state, release(`v2.0.${patch}`), "it crashed", 0);
    }
    expect(state.bad).toHaveLength(100);
    expect(state.bad.at(-1)?.tag).toBe("v2.0.119");
  });
});

describe("retention", () => {
  const staged = Array.from({ length: 12 }, (_, index) => ({
    ...deployedRelease(
      candidate(`v1.${index}.0`).release,
      { name: "app", url: "" },
      `d${index}`,
      0,
    ),
  }));
  const newest = ["d5", "d6", "d7", "d8", "d9", "d10", "d11"];
  const said = { user: "alice", at: "" };

  it.each([
    ["the newest ones", {}, []],
    ["the live one and the previous one", { previous: "d0" }, ["d0"]],
    ["both sides of a switch", { switching: { to: "d2", from: "d1" } }, ["d2", "d1"]],
    [
      "the target of a rollback that was ordered",
      { order: { ...said, id: "1", kind: "rollback", tag: "v1.3.0", directory: "d3" } },
      ["d3"],
    ],
    ["a pinned version", { pinned: { ...said, tag: "v1.4.0" } }, ["d4"]],
    ["no more for a pinned version that is not here", { pinned: { ...said, tag: "v9.0.0" } }, []],
  ] satisfies [string, Partial<DeployState>, string[]][])("keeps %s", (_, over, kept) => {
    const state: DeployState = { ...EMPTY_STATE, releases: staged, ...over };
    const { keep, others } = retention(state, "d11");
    expect([...keep].sort()).toEqual([...newest, ...kept].sort());
    expect(others).toBe(0);
  });
});
