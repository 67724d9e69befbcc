import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { bundleForEdge } from "./workerd.ts";

// docs/library.md names these numbers.
test.each([
  ["the whole library", 'export * from "./mod.ts";', 137],
  ["the library with a policy", 'export * from "./src/registries/verified/mod.ts";', 172],
  ["only versions and names", 'export { latestTag, selectArtifact } from "./mod.ts";', 16],
])("a bundle of %s needs no other module and stays small", async (_, code, maxKibibytes) => {
  const bundle = await bundleForEdge(code, true);
  expect(gzipSync(bundle, { level: 9 }).length).toBeLessThan(maxKibibytes * 1024);
});

test("the library without a policy contains nothing that verifies", async () => {
  const [without, withPolicy] = await Promise.all(
    ["./mod.ts", "./src/registries/verified/mod.ts"].map((entry) =>
      bundleForEdge(`export * from "${entry}";`),
    ),
  );
  const parts = /src\/verify\/|@noble\/hashes/;
  expect(withPolicy).toMatch(parts);
  expect(without).not.toMatch(parts);
});
