import { expect, test } from "vitest";
import { explainTags } from "../../src/resolve/explain_tags.ts";

test("explainTags does not mark a draft as chosen that has the tag of the chosen release", () => {
  const listed = [{ tag: "v1.0.0", unusable: "draft" }, { tag: "v1.0.0" }];
  expect(explainTags(listed, "v1.0.0", {}).map(({ chosen, reason }) => [chosen, reason])).toEqual([
    [false, "draft"],
    [true, "the newest version that fits"],
  ]);
});

test("a tag that is too long for a version is cut, and the limit is named", () => {
  const listed = [{ tag: `v1.0.0-${"a".repeat(10_000_000)}` }, { tag: "v1.0.0" }];
  const [chosen, long] = explainTags(listed, "v1.0.0", {});
  expect(chosen).toMatchObject({ tag: "v1.0.0", chosen: true });
  expect(long?.tag).toBe(`v1.0.0-${"a".repeat(249)}…`);
  expect(long?.reason).toBe("longer than the 256 characters that a version may have");
});
