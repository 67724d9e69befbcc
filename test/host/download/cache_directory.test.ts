import { chown, readdir, stat, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { cacheDirectory } from "../../../src/host/download/cache_directory.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

const isRoot = process.getuid?.() === 0;
const why = isRoot ? "" : " [skipped: only root can give a directory to another user]";

test("downloads are kept in .dewy/cache, which only dewy's user can enter", async () => {
  const root = await tempDirectory();
  expect(await cacheDirectory(root, "")).toBe(join(root, ".dewy", "cache"));
  expect((await stat(join(root, ".dewy", "cache"))).mode & 0o777).toBe(0o700);
});

test("working directories that share DEWY_CACHEDIR or a link have a directory each", async () => {
  const shared = await tempDirectory();
  const roots = [await tempDirectory(), await tempDirectory()];
  const named = await Promise.all(roots.map((root) => cacheDirectory(root, join(shared, "new"))));
  expect(new Set(named).size).toBe(2);
  expect(named.map((path) => dirname(path))).toEqual([join(shared, "new"), join(shared, "new")]);
  for (const [at, root] of roots.entries()) {
    await symlink(join(shared, "new"), join(root, ".dewy"));
    expect(dirname(await cacheDirectory(root, undefined))).toBe(join(shared, "new", "cache"));
    expect(await cacheDirectory(root, join(shared, "new"))).toBe(named[at]);
  }
});

test.skipIf(!isRoot)(`a place that another user made is refused${why}`, async () => {
  const shared = await tempDirectory();
  const root = await tempDirectory();
  const path = await cacheDirectory(root, shared);
  await chown(path, 65_534, 65_534);
  await expect(cacheDirectory(root, shared)).rejects.toThrow(
    `Cannot use ${path}: it belongs to user 65534`,
  );
  expect(await readdir(path)).toEqual([]);
});
