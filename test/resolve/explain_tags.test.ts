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

test("explainTags lists tags that are not versions last, in the registry's order", () => {
  const listed = ["edge", "v1.0.0", "main", "v1.2.0", "dev", "v1.1.0", "latest"];
  const tags = explainTags(
    listed.map((tag) => ({ tag })),
    "v1.2.0",
    {},
  );
  expect(tags.map(({ tag }) => tag)).toEqual([
    ...["v1.2.0", "v1.1.0", "v1.0.0"],
    ...["edge", "main", "dev", "latest"],
  ]);
});

test("explainTags names the CalVer format that a tag does not have", () => {
  const listed = [{ tag: "v1.0.0" }, { tag: "2026.11" }];
  const [, other] = explainTags(listed, "2026.11", { calver: "YYYY.MM" });
  expect(other).toMatchObject({ tag: "v1.0.0", chosen: false });
  expect(other?.reason).toContain('calver format "YYYY.MM"');
});

test("explainTags speaks of the length only if a tag is longer than a version may be", () => {
  const [, longest] = explainTags([{ tag: "v1.0.0" }, { tag: "x".repeat(256) }], "v1.0.0", {});
  expect(longest?.reason).not.toContain("longer");
});
