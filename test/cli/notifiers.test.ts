import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import type { DriverTables } from "../../src/agent/context.ts";
import { run } from "../../src/cli/run.ts";
import { hostRegistries } from "../../src/host/registries.ts";
import { letters, pigeon } from "../seams/pigeon.ts";
import { tempDirectory } from "../support/temp_directory.ts";
import { fakeProcess } from "./process.ts";

const tables: DriverTables = {
  registries: hostRegistries,
  notifiers: { pigeon, secretpigeon: { ...pigeon, scheme: "secretpigeon", isSecretUrl: true } },
  caches: {},
};

interface Setup {
  directory: string;
  /** Deploys once. Returns the exit code and the log. */
  dewy(flags: readonly string[], env?: Record<string, string>): Promise<[number, string]>;
}

async function setup(): Promise<Setup> {
  const root = await tempDirectory();
  const directory = join(root, "app");
  await mkdir(join(root, "registry", "v1.0.0"), { recursive: true });
  await mkdir(directory);
  await writeFile(join(root, "registry", "v1.0.0", "app"), "bytes");
  const registry = `file://${join(root, "registry")}?artifact=app`;
  return {
    directory,
    async dewy(flags, env = {}) {
      const io = fakeProcess({ env: { PIGEON_WHISTLE: "la-la-li-la-la", ...env } });
      const argv = ["assets", "--registry", registry, "--directory", directory, "--once"];
      const code = await run([...argv, "--log-level", "debug", ...flags], io, async () => tables);
      return [code, io.err()];
    },
  };
}

const lofts = (): string[] => [...new Set(letters.map(({ loft }) => loft.trim()))].sort();

beforeEach(() => void letters.splice(0));

test("notifiers of flags, files and the variable get the same notifications", async () => {
  const { directory, dewy } = await setup();
  const file = join(directory, "..", "notifiers");
  await writeFile(file, "# secret\npigeon://of-file\n", { mode: 0o600 });
  const flags = ["--notifier", "pigeon://a", "--notifier", "pigeon://b", "--notifier-file", file];
  const [code, log] = await dewy(flags, { DEWY_NOTIFIER: "pigeon://c pigeon://d" });
  expect(code, log).toBe(0);
  expect(lofts()).toEqual(["a", "b", "c", "d", "of-file"]);
  expect(letters.filter(({ loft }) => loft.startsWith("a")).map(({ text }) => text)).toEqual([
    expect.stringContaining("Automatic shipping started"),
    "Downloaded artifact for v1.0.0",
    "Deployed v1.0.0",
  ]);
  expect(log).not.toContain("Every user can read");
});

test("a dry run notifies nobody", async () => {
  const { dewy } = await setup();
  expect((await dewy(["--notifier", "pigeon://a", "--dry-run"]))[0]).toBe(0);
  expect(letters).toEqual([]);
});

test("a file of URLs that every user can read causes a warning", async () => {
  const { directory, dewy } = await setup();
  const file = join(directory, "..", "notifiers");
  await writeFile(file, "pigeon://a\n", { mode: 0o644 });
  const [, log] = await dewy(["--notifier-file", file]);
  expect(log).toMatch(
    /level=ERROR msg="Every user can read the URLs of notifiers" file=\S+notifiers/,
  );
});

test("an invalid URL ends dewy before anything is written, and is not shown", async () => {
  const { directory, dewy } = await setup();
  const [code, log] = await dewy([], { DEWY_NOTIFIER: "owl://canary-1/canary-2?canary=3" });
  expect(code).toBe(1);
  expect(log).toContain('unsupported notifier: "owl://canary-1/…"');
  expect(log).not.toContain("canary-2");
  await expect(access(join(directory, ".dewy"))).rejects.toThrow();
});

test("what is secret in a URL is masked in the output of hooks", async () => {
  const { dewy } = await setup();
  const url = "secretpigeon://north/canary-42?feather=grey";
  const hook = "echo loft=$DEWY_NOTIFIER canary-42 grey; false";
  const [, log] = await dewy(["--before-deploy-hook", hook], { DEWY_NOTIFIER: url });
  expect(log).toContain("loft=secretpigeon://north…");
  const [letter] = letters.filter(({ kind }) => kind === "hook-failed");
  expect(JSON.stringify(letter) + log).not.toContain("canary-42");
});
