import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../runtime/runtimes.ts";
import { manifest, type Packed, pack } from "./packed.ts";

const BIN = join(ROOT, "node_modules", ".bin");
const PNPM = join(ROOT, ".ci", "packaging", "node_modules", ".bin", "pnpm");
const DEWY = `dewy@${manifest.version}`;

let packed: Packed;
beforeAll(async () => {
  packed = await pack();
});
afterAll(() => packed.close());

describe("dewy from a package registry", () => {
  test.each([
    ["npx", "npx", "--yes", DEWY],
    ["bunx", join(BIN, "bunx"), DEWY],
    ["pnpm dlx", PNPM, "dlx", DEWY],
    ["deno run", join(BIN, "deno"), "run", "--allow-all", `npm:${DEWY}`],
  ] as const)("checks a registry, run by %s", async (name, program, ...args) => {
    const cwd = packed.directory(name.replace(" ", "-"));
    const { stdout } = await packed.client(cwd, program, ...args, "check", packed.url);
    expect(stdout).toMatch(/^version\s+v1\.0\.0$/m);
  });

  test.each([
    ["npm install --global", "npm", "install", "--global", "--prefix", ".", DEWY],
    [
      "deno install --global",
      ...[join(BIN, "deno"), "install", "--global", "--allow-all", "--root", "."],
      ...["--name", "dewy", `npm:${DEWY}`],
    ],
  ] as const)("checks a registry, installed by %s", async (name, program, ...args) => {
    const cwd = packed.directory(name.replaceAll(" ", "-"));
    await packed.client(cwd, program, ...args);
    const { stdout } = await packed.client(cwd, join(cwd, "bin", "dewy"), "check", packed.url);
    expect(stdout).toMatch(/^version\s+v1\.0\.0$/m);
  });
});
