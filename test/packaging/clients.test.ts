import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../runtime/runtimes.ts";
import { manifest, type Packed, pack, TIMEOUT_MS } from "./packed.ts";

const BIN = join(ROOT, "node_modules", ".bin");
const PNPM = join(ROOT, ".ci", "packaging", "node_modules", ".bin", "pnpm");
const DENO = join(BIN, "deno");
const DEWY = `dewy@${manifest.version}`;

type Command = readonly [string, ...string[]];

let packed: Packed;
beforeAll(async () => {
  packed = await pack();
}, TIMEOUT_MS);
afterAll(() => packed.close());

describe("dewy from a package registry", { timeout: TIMEOUT_MS }, () => {
  /** It has v1.0.0, also for `dewy upgrade`. */
  async function expectUseful(cwd: string, command: Command, upgrade: string): Promise<void> {
    const checked = await packed.client(cwd, ...command, "check", packed.url);
    expect(checked.stdout).toMatch(/^version\s+v1\.0\.0$/m);
    const available = ["upgrade", "--check", "--registry", packed.url];
    const { stdout } = await packed.client(cwd, ...command, ...available);
    expect(stdout).toContain(`To upgrade: ${upgrade}\n`);
  }

  test.each<[string, Command, string]>([
    ["npx", ["npx", "--yes", DEWY], "npx dewy@1.0.0"],
    ["bunx", [join(BIN, "bunx"), DEWY], "bunx dewy@1.0.0"],
    ["pnpm dlx", [PNPM, "dlx", DEWY], "pnpm dlx dewy@1.0.0"],
    [
      "deno run",
      [DENO, "run", "--allow-all", `npm:${DEWY}`],
      "deno run --allow-all npm:dewy@1.0.0",
    ],
  ])("checks a registry, run by %s, and names the command that upgrades it", async (...row) => {
    const [name, command, upgrade] = row;
    await expectUseful(packed.directory(name.replace(" ", "-")), command, upgrade);
  });

  test.each<[string, Command, string]>([
    [
      "npm install --global",
      ["npm", "install", "--global", "--prefix", ".", DEWY],
      "npm install --global dewy@1.0.0",
    ],
    ["pnpm add --global", [PNPM, "add", "--global", DEWY], "pnpm add --global dewy@1.0.0"],
    ["bun add --global", [join(BIN, "bun"), "add", "-g", DEWY], "bun add --global dewy@1.0.0"],
    [
      "deno install --global",
      [DENO, "install", "-g", "--allow-all", "--root", ".", "--name", "dewy", `npm:${DEWY}`],
      "deno install --global --force --allow-all --name dewy npm:dewy@1.0.0",
    ],
  ])(
    "checks a registry, installed by %s, and names the command that upgrades it",
    async (...row) => {
      const [name, [program, ...args], upgrade] = row;
      const cwd = packed.directory(name.replaceAll(" ", "-"));
      const bin = join(cwd, "bin");
      const home = [
        `PNPM_HOME=${bin}`,
        `BUN_INSTALL=${cwd}`,
        `PATH=${bin}:${BIN}:${process.env.PATH}`,
      ];
      await packed.client(cwd, "env", ...home, program, ...args);
      await expectUseful(cwd, ["env", ...home, join(bin, "dewy")], upgrade);
      const refused = packed.client(
        cwd,
        "env",
        ...home,
        "dewy",
        "upgrade",
        "--registry",
        packed.url,
      );
      await expect(refused).rejects.toThrow(`use: ${upgrade}`);
    },
  );
});
