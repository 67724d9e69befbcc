import { readFile } from "node:fs/promises";
import { join } from "node:path";
import satisfies from "semver/functions/satisfies.js";
import { expect, test } from "vitest";
import { installCommand, PACKAGES } from "../../src/telemetry/packages.ts";
import { ROOT } from "../runtime/runtimes.ts";

test("the packages and versions are the optional peer dependencies", async () => {
  const manifest = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  const optional = Object.entries(manifest.peerDependenciesMeta)
    .filter(([, meta]) => (meta as { optional: boolean }).optional)
    .map(([name]) => name);
  expect(Object.keys(PACKAGES).sort()).toEqual(optional.sort());
  expect(manifest.devDependencies).toMatchObject(PACKAGES);
  for (const [name, version] of Object.entries(PACKAGES)) {
    expect(satisfies(version, manifest.peerDependencies[name]), name).toBe(true);
  }
});

const MODULE = "dewy/dist/src/telemetry/packages.js";

test.each([
  ["npm install ", `file:///srv/app/node_modules/${MODULE}`, {}],
  ["npm install --global ", `file:///usr/local/lib/node_modules/${MODULE}`, {}],
  ["npm install --global ", `file:///C:/Users/a/AppData/Roaming/npm/node_modules/${MODULE}`, {}],
  ["npx --package dewy --package ", `file:///root/.npm/_npx/0a1b/node_modules/${MODULE}`, {}],
  ["bun add ", `file:///srv/app/node_modules/${MODULE}`, { Bun: {} }],
  ["bun add --global ", `file:///home/a/.bun/install/global/node_modules/${MODULE}`, { Bun: {} }],
  // Bun's launcher runs on Node, if that is in PATH.
  ["bun add --global ", `file:///home/a/.bun/install/global/node_modules/${MODULE}`, {}],
  ["npm install --global ", `file:///usr/lib/node_modules/${MODULE}`, { Bun: {} }],
  ["deno add npm:", `file:///srv/app/node_modules/${MODULE}`, { Deno: {} }],
])("%s installs them for %s", (start, url, runtime) => {
  const command = installCommand(url, runtime);
  expect(command).toMatch(new RegExp(`^${start}@opentelemetry/api@`));
  expect(command.split(" ").filter((word) => word.includes("@opentelemetry/"))).toHaveLength(
    Object.keys(PACKAGES).length,
  );
});
