import { describe, expect, test } from "vitest";
import { scriptInstallation } from "../../src/cli/upgrade/installation.ts";

describe("where dewy upgrade says that a script of dewy belongs to", () => {
  test.each([
    ["file:///usr/lib/node_modules/dewy/dist/cli.js", {}, "npm install --global dewy@1.2.0"],
    ["file:///root/.npm/_npx/1f/node_modules/dewy/dist/cli.js", {}, "npx dewy@1.2.0"],
    ["file:///srv/app/node_modules/dewy/dist/cli.js", {}, "npm install dewy@1.2.0"],
    [
      "file:///root/.bun/install/global/node_modules/dewy/dist/cli.js",
      { Bun: {} },
      "bun add --global dewy@1.2.0",
    ],
    [
      "file:///root/.bun/install/cache/.bunx-0/dewy@0.1.0/node_modules/dewy/dist/cli.js",
      {},
      "bunx dewy@1.2.0",
    ],
    [
      "file:///root/.cache/pnpm/dlx/1f/2e/node_modules/.pnpm/dewy@0.1.0/node_modules/dewy/dist/cli.js",
      {},
      "pnpm dlx dewy@1.2.0",
    ],
    [
      "file:///root/pnpm/global/5/.pnpm/dewy@0.1.0/node_modules/dewy/dist/cli.js",
      {},
      "pnpm add --global dewy@1.2.0",
    ],
    [
      "file:///root/.cache/deno/npm/registry.example/dewy/0.1.0/dist/cli.js",
      { Deno: {} },
      "deno run --allow-all npm:dewy@1.2.0",
    ],
    [
      "file:///root/.deno/bin/.dewy/node_modules/.deno/dewy@0.1.0/node_modules/dewy/dist/cli.js",
      { Deno: {} },
      "deno install --global --force --allow-all --name dewy npm:dewy@1.2.0",
    ],
    ["file:///root/src/dewy/dist/cli.js", {}, "git pull"],
  ])("%s", (moduleUrl, runtime, command) => {
    expect(scriptInstallation("1.2.0", moduleUrl, runtime).command).toBe(command);
  });
});
