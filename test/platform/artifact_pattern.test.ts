import { describe, expect, test } from "vitest";
import { exactPattern, matchesArtifact } from "../../src/platform/artifact_pattern.ts";

test.each([
  "app.zip",
  "app*.zip",
  "app?[1].zip",
  "[a-z].zip",
  "{tag}_{version}.zip",
  "a[!b]]c^\\d",
])("the exact pattern of %s matches that name and no other", (name) => {
  const pattern = exactPattern(name);
  expect(matchesArtifact(pattern, name, "v1")).toBe(true);
  for (const other of ["app1.zip", "app11.zip", "b.zip", "v1_1.zip", "acc^\\d", `${name}x`]) {
    expect(matchesArtifact(pattern, other, "v1")).toBe(other === name);
  }
});

describe("a pattern", () => {
  test.each([
    ["app-{version}*.zip", "app-1.2.3-x.zip", "v1.2.3+blue"],
    ["app-{version}*.zip", "app-1.2.3+blue-x.zip", "v1.2.3+blue"],
    ["app-{version}.zip", "app-1.2.3-dev.zip", "1.2.3-dev"],
    ["app-{tag}.zip", "app-v1.2.3+blue.zip", "v1.2.3+blue"],
    ["[z-a].zip", "[z-a].zip", "v1"],
    ["a**.zip", "ab.zip", "v1"],
    ["?[!0-9]", "ab", "v1"],
  ])("%s matches %s of %s", (pattern, name, tag) => {
    expect(matchesArtifact(pattern, name, tag)).toBe(true);
  });

  test.each([
    ["app-{version}.zip", "app-1.2.3+green.zip", "v1.2.3+blue"],
    ["app-[0-9].zip", "app-S.zip", "v1"],
    ["[z-a].zip", "b.zip", "v1"],
    ["a.zip", "a-zip", "v1"],
    ["a?.zip", "a.zip", "v1"],
  ])("%s does not match %s of %s", (pattern, name, tag) => {
    expect(matchesArtifact(pattern, name, tag)).toBe(false);
  });
});
