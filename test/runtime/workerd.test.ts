import { expect, test } from "vitest";
import { bundleForEdge } from "./workerd.ts";

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
