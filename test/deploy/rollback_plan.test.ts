import { expect, test } from "vitest";
import { rollbackChoice } from "../../src/deploy/rollback_plan.ts";
import { type DeployedRelease, type DeployState, EMPTY_STATE } from "../../src/deploy/state.ts";

const AT = "2026-01-01T00:00:00.000Z";

/** Releases staged in this order, in a directory named after the tag and position; `?` means not proven. */
function staged(...tags: string[]): DeployState {
  const releases = tags.map((text, nth): DeployedRelease => {
    const tag = text.replace("?", "");
    const provenAt = text.endsWith("?") ? undefined : AT;
    const revision = `${tag}-${nth}`;
    return {
      id: tag,
      tag,
      artifact: "a",
      revision,
      directory: `${tag}-${nth}`,
      stagedAt: AT,
      provenAt,
    };
  });
  return { ...EMPTY_STATE, releases };
}

const onDisk = async (): Promise<boolean> => true;

test.each<[string, string[], string, string | undefined]>([
  ["the newest lower version", ["v1.0.0", "v1.1.0", "v1.2.0"], "v1.2.0", "v1.1.0-1"],
  ["one further back the second time", ["v1.0.0", "v1.1.0", "v1.2.0"], "v1.1.0", "v1.0.0-0"],
  ["nothing before the first one", ["v1.0.0", "v1.1.0"], "v1.0.0", undefined],
  ["the highest, not the last staged", ["v1.1.0", "v1.0.0", "v1.2.0"], "v1.2.0", "v1.1.0-0"],
  [
    "never one that failed or did not finish its bake",
    ["v1.0.0", "v1.1.0?", "v1.2.0"],
    "v1.2.0",
    "v1.0.0-0",
  ],
  ["never the same version again", ["v1.0.0", "v1.1.0", "v1.1.0"], "v1.1.0", "v1.0.0-0"],
  ["the last staged of a version", ["v1.0.0", "v1.0.0", "v1.1.0"], "v1.1.0", "v1.0.0-1"],
  ["the version before one that has no record", ["v1.0.0", "v1.1.0"], "v1.2.0", "v1.1.0-1"],
  [
    "by staging if tags are not versions",
    ["nightly-9", "nightly-7", "nightly-8"],
    "nightly-8",
    "nightly-7-1",
  ],
  [
    "one further back by staging",
    ["nightly-9", "nightly-7", "nightly-8"],
    "nightly-7",
    "nightly-9-0",
  ],
])("takes %s", async (_, tags, left, directory) => {
  expect((await rollbackChoice(staged(...tags), left, onDisk, ""))?.directory).toBe(directory);
});

test("takes neither a bad version nor one whose directory is gone", async () => {
  const state = staged("v1.0.0", "v1.1.0", "v1.2.0", "v1.3.0");
  const bad = {
    ...state,
    bad: [{ tag: "v1.2.0", revision: "v1.2.0-2", reason: "crashed", at: AT }],
  };
  const has = async (directory: string): Promise<boolean> => directory !== "v1.1.0-1";
  expect((await rollbackChoice(bad, "v1.3.0", has, ""))?.tag).toBe("v1.0.0");
});

test("takes the last good version of a state in which no release counts as proven", async () => {
  const state = staged("v1.0.0?", "v1.1.0?", "v1.2.0?");
  const choose = (over: Partial<DeployState>): ReturnType<typeof rollbackChoice> =>
    rollbackChoice({ ...state, ...over }, "v1.2.0", onDisk, "");
  expect(await choose({})).toBeUndefined();
  expect((await choose({ previous: "v1.0.0-0" }))?.tag).toBe("v1.0.0");
  const switching = { to: "v1.2.0-2", from: "v1.1.0-1" };
  expect((await choose({ previous: "v1.0.0-0", switching }))?.tag).toBe("v1.1.0");
});

test("compares by the calver format", async () => {
  const state = staged("2026.02.1", "2026.01.9", "2026.03.0");
  expect((await rollbackChoice(state, "2026.03.0", onDisk, "YYYY.0M.MICRO"))?.tag).toBe(
    "2026.02.1",
  );
});

test("passes over a version that an operator left behind, but not over those before it", async () => {
  const skipped = [{ tag: "v1.1.0", andEarlier: true as const, user: "alice", at: AT }];
  const state = { ...staged("v1.0.0", "v1.1.0", "v1.2.0"), skipped };
  expect((await rollbackChoice(state, "v1.2.0", onDisk, ""))?.tag).toBe("v1.0.0");
});
