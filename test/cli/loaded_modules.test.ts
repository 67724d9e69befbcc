import { readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { ROOT, run } from "../runtime/runtimes.ts";
import { tempDirectory } from "../support/temp_directory.ts";

const RECORD = fileURLToPath(new URL("loaded_modules.mjs", import.meta.url));

/** The modules in each file of the bundle. */
const CONTENTS: Record<string, string[]> = JSON.parse(
  readFileSync(join(ROOT, "dist", "contents.json"), "utf8"),
);

/** The modules that one command line loads, from the project's root: packages and sources. */
function loadedBy(...argv: string[]): Promise<string[]> {
  return loadedIn(ROOT, ...argv);
}

async function loadedIn(cwd: string, ...argv: string[]): Promise<string[]> {
  const loaded = join(await tempDirectory(), "loaded");
  const cli = join(ROOT, "dist", "cli.js");
  const options = { cwd, env: { DEWY_LOADED: loaded } };
  const { code, stderr } = await run(process.execPath, ["--import", RECORD, cli, ...argv], options);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const urls = (await readFile(loaded, "utf8")).trim().split("\n");
  return [...new Set(urls)].flatMap((url) => {
    const file = url.replace(/^.*?\/(?=node_modules\/|dist\/)/, "");
    return CONTENTS[file] ?? [file];
  });
}

test("a directory is asked without the packages of other registries", async () => {
  const directory = await tempDirectory();
  await mkdir(join(directory, "v1.0.0"));
  await writeFile(join(directory, "v1.0.0", "app.tar.gz"), "");
  const loaded = await loadedBy("check", `file://${directory}`);
  const packages = loaded.filter((path) => path.startsWith("node_modules/"));
  expect(packages.map((path) => path.split("/")[1]).sort()).toEqual(["cac"]);
  expect(loaded.filter((path) => /registries\/\w+\/(client|registry)/.test(path))).toEqual([
    "src/registries/file/registry.ts",
  ]);
  expect(loaded.length).toBeLessThan(120);
});

test("the version is printed without any registry", async () => {
  const loaded = await loadedBy("--version");
  expect(loaded.filter((path) => path.includes("/registries/"))).toEqual([]);
  expect(loaded.length).toBeLessThan(20);
});

test("a command about an instance loads no client of a registry, no notifier and no engine", async () => {
  const directory = await tempDirectory();
  await mkdir(join(directory, ".dewy"));
  const loaded = await loadedBy("history", "--directory", directory);
  const packages = loaded.filter((path) => path.startsWith("node_modules/"));
  expect([...new Set(packages.map((path) => path.split("/")[1]))].sort()).toEqual([
    "cac",
    "valibot",
  ]);
  expect(
    loaded.filter((path) =>
      /registries\/\w+\/(client|registry)|notifiers\/\w+\/(attachment|message|client)|engine/.test(
        path,
      ),
    ),
  ).toEqual([]);
  expect(loaded.length).toBeLessThan(120);
});

test("an agent loads nothing of OpenTelemetry without --telemetry, and no exporter without a collector", async () => {
  const registry = await tempDirectory();
  await mkdir(join(registry, "v1.0.0"));
  await writeFile(join(registry, "v1.0.0", "app"), "#!/bin/sh\n");
  const argv = ["assets", "--registry", `file://${registry}?artifact=app`, "--once"];
  const telemetryOf = (loaded: readonly string[]): string[] => {
    const packages = loaded.flatMap(
      (url) => /@opentelemetry\/[^/]+|telemetry\/open/.exec(url) ?? [],
    );
    return [...new Set(packages)].sort();
  };
  expect(telemetryOf(await loadedIn(await tempDirectory(), ...argv))).toEqual([]);
  const measured = await loadedIn(await tempDirectory(), ...argv, "--telemetry");
  expect(telemetryOf(measured)).toContain("@opentelemetry/sdk-metrics");
  expect(telemetryOf(measured)).not.toContain("@opentelemetry/exporter-trace-otlp-http");
  expect(telemetryOf(measured)).not.toContain("@opentelemetry/sdk-trace-base");
});
