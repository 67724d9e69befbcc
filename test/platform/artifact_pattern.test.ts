import { expect, test } from "vitest";
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
