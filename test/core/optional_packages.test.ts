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
    ["file:///app/node_modules/dewy/dist/x.js", {}, "npm install a@1.0.0 @b/c@2.0.0"],
    ["file:///usr/lib/node_modules/dewy/dist/x.js", {}, "npm install --global a@1.0.0 @b/c@2.0.0"],
    ["file:///app/node_modules/dewy/dist/x.js", { Bun: {} }, "bun add a@1.0.0 @b/c@2.0.0"],
    [
      "file:///root/.bun/install/global/node_modules/dewy/dist/x.js",
      { Bun: {} },
      "bun add --global a@1.0.0 @b/c@2.0.0",
    ],
    ["file:///src/x.ts", { Deno: {} }, "deno add npm:a@1.0.0 npm:@b/c@2.0.0"],
  ])("is installed for %s by a command", (url, runtime, command) => {
    expect(installCommand(packages, url, runtime)).toBe(command);
  });
});
