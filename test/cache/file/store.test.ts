import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, onTestFinished, test } from "vitest";
import type { DewyEvent } from "../../../src/core/event.ts";
import { cacheContract } from "../../contract/cache.ts";
import { cacheAt, collected } from "../context.ts";

const directories: string[] = [];
afterAll(() => Promise.all(directories.map((path) => rm(path, { recursive: true }))));

cacheContract("file", {
  atomic: false,
  async open() {
    const directory = await mkdtemp(join(tmpdir(), "dewy-cache-"));
    directories.push(directory);
    return cacheAt(`file://${directory}`);
  },
});

test("without a directory, it is one in the working directory, else a temporary one", async () => {
  const directory = await mkdtemp(join(tmpdir(), "dewy-cache-"));
  directories.push(directory);
  const before = process.cwd();
  process.chdir(directory);
  onTestFinished(() => process.chdir(before));
  const events: DewyEvent[] = [];
  const emit = (event: DewyEvent): void => void events.push(event);
  await (await cacheAt("file://", { emit })).write("a", "x");
  expect(await readFile(join(".dewy", "cache", "a"), "utf8")).toBe("x");
  await rm(".dewy", { recursive: true });
  await writeFile(".dewy", "not a directory");
  const store = await cacheAt("file://", { emit });
  await store.write("a", "y");
  expect((await store.read("a", 10))?.body).toHaveLength(1);
  const [warning] = events;
  if (warning?.type !== "warning") throw new Error("no warning");
  directories.push(String(warning.fields?.directory));
  expect(warning.fields?.reason).toContain(".dewy");
});

test("what a killed process has written in part is a leftover, not an object", async () => {
  const directory = await mkdtemp(join(tmpdir(), "dewy-cache-"));
  directories.push(directory);
  const store = await cacheAt(`file://${directory}`);
  await writeFile(join(directory, "a.0123456789abcdef.tmp"), "half");
  expect(await collected(store.list(""))).toEqual([]);
  const leftovers = await collected(store.leftovers?.(""));
  expect(leftovers).toMatchObject([{ key: "a.0123456789abcdef.tmp", bytes: 4 }]);
  await leftovers[0]?.remove();
  expect(await readdir(directory)).toEqual([]);
});
