import { run } from "./run.ts";

const TIMEOUT_MS = 60_000;

/**
 * Asks the system to bring everything written to a file system onto the disk, as far as it can: a power cut right
 * after a deploy must not leave a release of empty files behind `current`. One call is far cheaper than syncing
 * file by file. See https://man7.org/linux/man-pages/man1/sync.1.html.
 *
 * @param directory a directory of the file system.
 * @param signal ends the waiting.
 * @throws AbortedError when the signal comes. Systems without such a program sync in their own time.
 */
export async function syncFileSystem(directory: string, signal: AbortSignal): Promise<void> {
  const { PATH } = process.env;
  try {
    await run({
      command: ["sync", "-f", directory],
      cwd: "/",
      env: { PATH },
      timeoutMs: TIMEOUT_MS,
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
  }
}
