import { spawnSync } from "node:child_process";
import { mkdir, readdir, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { makeFifo, removeFifo } from "../../../src/host/sockets/waiter.ts";
import { tempDirectory } from "../../support/temp_directory.ts";

it("makeFifo removes the directories of killed launchers, and nothing else", async () => {
  const directory = await tempDirectory();
  vi.stubEnv("TMPDIR", directory);
  onTestFinished(() => void vi.unstubAllEnvs());
  const dead = spawnSync("true").pid;
  const kept = [`dewy-${process.pid}-abcdef`, `dewy-${dead}-new123`, "dewy-mine", `dewy-${dead}`];
  for (const name of [...kept, `dewy-${dead}-old123`]) {
    await mkdir(join(directory, name));
    if (!name.endsWith("new123")) await utimes(join(directory, name), 1, 1);
  }
  const fifo = makeFifo();
  expect((await readdir(directory)).sort()).toEqual(
    [...kept, basename(dirname(fifo ?? ""))].sort(),
  );
  removeFifo(fifo ?? "");
  expect((await readdir(directory)).sort()).toEqual([...kept].sort());
});
