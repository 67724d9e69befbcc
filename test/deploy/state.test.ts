import { describe, expect, it } from "vitest";
import {
  type DeployedRelease,
  EMPTY_STATE,
  sameBytes,
  withRelease,
} from "../../src/deploy/state.ts";

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
