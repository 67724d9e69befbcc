import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { cacheContract } from "../../contract/cache.ts";
import { cacheAt } from "../context.ts";

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
