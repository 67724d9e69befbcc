import { readFile } from "node:fs/promises";
import { join } from "node:path";
import satisfies from "semver/functions/satisfies.js";
import { expect, test } from "vitest";
import { PACKAGES } from "../../src/telemetry/packages.ts";
import { ROOT } from "../runtime/runtimes.ts";

test("the packages and versions are optional peer dependencies", async () => {
  const manifest = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const optional = Object.keys(manifest.peerDependenciesMeta);
  expect(optional.filter((name) => name.startsWith("@opentelemetry/"))).toEqual(
    Object.keys(PACKAGES).sort(),
  );
  expect(manifest.devDependencies).toMatchObject(PACKAGES);
  for (const [name, version] of Object.entries(PACKAGES)) {
    expect(satisfies(version, manifest.peerDependencies[name]), name).toBe(true);
  }
});
