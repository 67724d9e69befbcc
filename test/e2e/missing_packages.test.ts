import { cp, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DENO_RUN, ROOT, run } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const BIN = join(ROOT, "node_modules", ".bin");

/** dewy as it is installed without optional peer dependencies. */
async function installedWithoutPeers(): Promise<string> {
  const directory = await tempDirectory();
  const packages = join(ROOT, "node_modules");
  const names = (await readdir(packages)).filter((name) => name !== "@opentelemetry");
  const own = join(directory, "node_modules", "dewy");
  await mkdir(own, { recursive: true });
  await cp(join(ROOT, "dist"), join(own, "dist"), { recursive: true });
  await cp(join(ROOT, "package.json"), join(own, "package.json"));
  await Promise.all(
    names
      .filter((name) => name !== "dewy" && !name.startsWith("."))
      .map((name) => symlink(join(packages, name), join(directory, "node_modules", name))),
  );
  await writeFile(join(directory, "package.json"), '{ "type": "module" }');
  return directory;
}

test.each([
  ["Node", [process.execPath], "npm install @opentelemetry/api@"],
  ["Bun", [join(BIN, "bun")], "bun add @opentelemetry/api@"],
  ["Deno", [join(BIN, "deno"), ...DENO_RUN], "deno add npm:@opentelemetry/api@"],
] as const)("--telemetry without the packages says on %s how to install them", async (...row) => {
  const [, [program, ...first], install] = row;
  const [registry, cwd] = [await tempDirectory(), await tempDirectory()];
  await mkdir(join(registry, "v1.0.0"));
  await writeFile(join(registry, "v1.0.0", "app"), "#!/bin/sh\n");
  const cli = join(await installedWithoutPeers(), "node_modules", "dewy", "dist", "cli.js");
  const args = ["assets", "--registry", `file://${registry}?artifact=app`, "--once"];
  const withFlag = await run(program, [...first, cli, ...args, "--telemetry"], { cwd });
  expect(withFlag).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(
      `Error: Cannot use --telemetry: the OpenTelemetry packages are not installed; install them next to dewy: ${install}`,
    ),
  });
  expect(await readdir(cwd)).toEqual([".dewy"]);
  if (program !== process.execPath) return;
  const { code, stderr } = await run(program, [cli, ...args], { cwd });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});
