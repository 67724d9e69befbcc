import { describe, expect, test } from "vitest";
import { installCommand, isMissingPackage } from "../../src/core/optional_packages.ts";

describe("a package that is not installed", () => {
  test.each([
    ["Node and Bun", Object.assign(new Error("x"), { code: "ERR_MODULE_NOT_FOUND" })],
    ["Deno", new TypeError('Import "a" not a dependency')],
    ["Deno, without an import map", new Error('Could not find "a" in a node_modules folder')],
  ])("is recognised in an error of %s", (_, error) => {
    expect(isMissingPackage(error)).toBe(true);
  });

  test("is not one that fails to load", () => {
    expect(isMissingPackage(new SyntaxError("Unexpected token"))).toBe(false);
  });

  const packages = { a: "1.0.0", "@b/c": "2.0.0" };
  test.each([
    ["npm install ", "file:///srv/app/node_modules/dewy/dist/x.js", {}],
    ["npm install --global ", "file:///usr/local/lib/node_modules/dewy/dist/x.js", {}],
    ["npm install --global ", "file:///C:/Users/a/npm/node_modules/dewy/dist/x.js", {}],
    ["bun add ", "file:///srv/app/node_modules/dewy/dist/x.js", { Bun: {} }],
    ["bun add --global ", "file:///a/.bun/install/global/node_modules/dewy/x.js", { Bun: {} }],
    // Bun's launcher runs on Node, if that is in PATH.
    ["bun add --global ", "file:///a/.bun/install/global/node_modules/dewy/x.js", {}],
    ["npm install --global ", "file:///usr/lib/node_modules/dewy/dist/x.js", { Bun: {} }],
    ["pnpm add ", "file:///app/node_modules/.pnpm/dewy@0.1.0/node_modules/dewy/dist/x.js", {}],
    [
      "pnpm add --global ",
      "file:///a/pnpm/global/5/.pnpm/dewy@0.1.0/node_modules/dewy/dist/x.js",
      {},
    ],
  ])("is installed by %s for %s", (command, url, runtime) => {
    expect(installCommand(packages, url, runtime)).toBe(`${command}a@1.0.0 @b/c@2.0.0`);
  });

  test.each([
    "file:///root/.npm/_npx/0a1b/node_modules/dewy/dist/x.js",
    "file:///root/.bun/install/cache/.bunx-0/dewy@0.1.0/node_modules/dewy/dist/x.js",
    "file:///a/.cache/pnpm/dlx/0a/1b/node_modules/.pnpm/dewy@0.1.0/node_modules/dewy/dist/x.js",
  ])("is installed by npx for %s, which has no place to add to", (url) => {
    const command = "npx --package dewy --package a@1.0.0 --package @b/c@2.0.0 -- dewy …";
    expect(installCommand(packages, url, {})).toBe(command);
  });

  test("is installed by deno add for a script of Deno", () => {
    const command = "deno add npm:a@1.0.0 npm:@b/c@2.0.0";
    expect(installCommand(packages, "file:///src/x.ts", { Deno: {} })).toBe(command);
  });
});
