import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** Creates a directory that is removed when the test ends. */
export async function tempDirectory(): Promise<string> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), "dewy-test-")));
  // A process that was killed a moment ago may finish a last write.
  const options = { recursive: true, force: true, maxRetries: 8, retryDelay: 50 };
  onTestFinished(() => rm(directory, options));
  return directory;
}
