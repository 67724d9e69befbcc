import { spawn } from "node:child_process";
import { once } from "node:events";

// A stuck child must not hold a deploy for ever; the largest archives take minutes.
const TIMEOUT_MS = 3_600_000;
const MAX_STDERR = 2000;

/**
 * Runs a decompressor of this system.
 *
 * @param program its name, found in `PATH`.
 * @param args its arguments; it writes to standard output.
 * @param signal kills it.
 * @returns its output, which fails when the program does; `undefined` when there is no such program.
 */
export async function runDecompressor(
  program: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    // Nothing else: options such as XZ_OPT would change what it does.
    env: { PATH: process.env.PATH ?? "", LC_ALL: "C" },
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
    signal,
  });
  const exit = once(child, "close") as Promise<[number | null, string | null]>;
  exit.catch(() => {});
  try {
    await once(child, "spawn");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(0, MAX_STDERR);
  });
  async function* output(): AsyncGenerator<Uint8Array> {
    try {
      yield* child.stdout;
      const [code, killedBy] = await exit;
      if (code !== 0) {
        throw new Error(
          stderr.trim() || `${program} ended with ${killedBy ?? `exit code ${code}`}`,
        );
      }
    } finally {
      child.kill("SIGKILL");
    }
  }
  return output();
}
