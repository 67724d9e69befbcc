import { expect, test } from "vitest";
import { explainTags } from "../../src/core/explain_tags.ts";

test("explainTags does not mark a draft as chosen that has the tag of the chosen release", () => {
  const listed = [{ tag: "v1.0.0", unusable: "draft" }, { tag: "v1.0.0" }];
  expect(explainTags(listed, "v1.0.0", {}).map(({ chosen, reason }) => [chosen, reason])).toEqual([
    [false, "draft"],
    [true, "the newest version that fits"],
  ]);
});
