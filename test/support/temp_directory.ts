import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** Creates a directory that is removed when the test ends. */
export async function tempDirectory(): Promise<string> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), "dewy-test-")));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
