import { readFileSync } from "node:fs";
import satisfies from "semver/functions/satisfies.js";
import { expect, test } from "vitest";
import { PACKAGES } from "../../../src/verify/openpgp/package.ts";

const readRoot = (file: string) =>
  JSON.parse(readFileSync(new URL(`../../../${file}`, import.meta.url), "utf8"));

test("the package for OpenPGP is optional, in the version that is tested", () => {
  const { devDependencies, dependencies, peerDependencies, peerDependenciesMeta } =
    readRoot("package.json");
  const { openpgp } = PACKAGES;
  expect(devDependencies).toMatchObject({ openpgp });
  expect(dependencies).not.toHaveProperty("openpgp");
  expect(satisfies(openpgp, peerDependencies.openpgp)).toBe(true);
  expect(peerDependenciesMeta.openpgp).toEqual({ optional: true });
  expect(readRoot("deno.json").imports.openpgp).toBe(`npm:openpgp@${openpgp}`);
});
