import { type ChildProcess, spawn } from "node:child_process";
import { systemClock } from "../../src/core/clock.ts";

export interface Guardian {
  /** Stops this server with the others. */
  watch(server: ChildProcess): void;
  /** Stops the servers and removes their data. */
  stop(): Promise<void>;
}

/**
 * Stops servers and removes their data on `stop`, or when this process exits for any reason. It is
 * a shell that reads process ids until its input ends, in its own session so that Ctrl-C does not
 * reach it.
 */
export function startGuardian(directory: string): Guardian {
  const script = 'while read -r pid; do pids="$pids $pid"; done; kill -9 $pids; rm -rf -- "$0"';
  const shell = spawn("/bin/sh", ["-c", script, directory], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  shell.unref();
  const exited = new Promise<void>((resolve) => shell.once("exit", () => resolve()));
  return {
    watch: (server) => shell.stdin.write(`${server.pid}\n`),
    stop: async () => {
      shell.stdin.end();
      await exited;
    },
  };
}

/** Waits until a server answers over HTTP. Fails if one of its processes exits. */
export async function untilItAnswers(
  endpoint: string,
  servers: readonly ChildProcess[],
): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const gone = servers.find((server) => server.exitCode !== null);
    if (gone !== undefined) throw new Error(`${gone.spawnfile} ended with ${gone.exitCode}`);
    try {
      const response = await fetch(endpoint, { signal: AbortSignal.timeout(2_000) });
      await response.body?.cancel();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await systemClock.sleep(25);
    }
  }
}
