import { helperEnvironment } from "./helper_environment.ts";
import { run } from "./run.ts";

const TIMEOUT_MS = 60_000;

/**
 * Flushes a file system to disk where the system has `sync -f`, so that a power failure right after a deploy does not
 * leave a release of empty files behind `current`. One call is far cheaper than syncing file by file.
 * https://man7.org/linux/man-pages/man1/sync.1.html
 */
export async function syncFileSystem(directory: string, signal: AbortSignal): Promise<void> {
  const command = ["sync", "-f", directory] as const;
  try {
    await run({ command, cwd: "/", env: helperEnvironment(), timeoutMs: TIMEOUT_MS, signal });
  } catch (error) {
    if (signal.aborted) throw error;
  }
}
