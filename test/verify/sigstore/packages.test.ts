import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import satisfies from "semver/functions/satisfies.js";
import { describe, expect, test } from "vitest";
import { PACKAGES } from "../../../src/verify/sigstore/packages.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const ROOT = new URL("../../..", import.meta.url);
const readRoot = (file: string) => JSON.parse(readFileSync(new URL(file, ROOT), "utf8"));

describe("Sigstore's packages", () => {
  test("are optional, in the versions that are tested", () => {
    const { devDependencies, dependencies, peerDependencies, peerDependenciesMeta } =
      readRoot("package.json");
    expect(devDependencies).toMatchObject(PACKAGES);
    for (const [name, version] of Object.entries(PACKAGES)) {
      expect(dependencies).not.toHaveProperty([name]);
      expect(satisfies(version, peerDependencies[name]), name).toBe(true);
      expect(peerDependenciesMeta[name]).toEqual({ optional: true });
      expect(readRoot("deno.json").imports[name]).toBe(`npm:${name}@${version}`);
    }
  });

  test("have an install command in the error, where they are missing", async () => {
    const outfile = join(await tempDirectory(), "main.mjs");
    const contents = `
      import { loadSigstore } from "./src/verify/sigstore/packages.ts";
      await loadSigstore().catch(({ code, message }) => console.log(code, message));`;
    await build({
      stdin: { contents, resolveDir: new URL(ROOT).pathname, loader: "ts" },
      outfile,
      bundle: true,
      format: "esm",
      platform: "node",
      packages: "external",
    });
    const { stdout } = await promisify(execFile)(process.execPath, [outfile]);
    const names = Object.entries(PACKAGES).map(([name, version]) => `${name}@${version}`);
    expect(stdout).toBe(
      `unverified Cannot verify Sigstore bundles: the packages for them are not installed; install them next to dewy: npm install ${names.join(" ")}\n`,
    );
  });
});
