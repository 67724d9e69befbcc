import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WAITER_SCRIPT } from "./holder_script.ts";
import { replaceProcess } from "./replace_process.ts";

/** The shell that every POSIX system has. */
export const SHELL = "/bin/sh";
/** `128 + SIGKILL`: the holder itself was killed. */
export const KILLED = 137;

const SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1"] as const;

/**
 * Becomes a shell that forwards signals to the holder and ends with dewy's exit code.
 *
 * @param holder the holder's pid.
 * @param fifo hears of its end.
 * @returns only where this process cannot be replaced.
 */
export function becomeWaiter(holder: number, fifo: string): void {
  replaceProcess(SHELL, waiterCommand(holder, fifo));
}

/**
 * Waits for a holder that is no child of this process.
 *
 * @param holder the holder's pid.
 * @param fifo hears of its end.
 * @returns dewy's exit code.
 */
export function waitForHolder(holder: number, fifo: string): Promise<number> {
  const [program, ...args] = waiterCommand(holder, fifo);
  const waiter = spawn(program, args, { detached: true, stdio: ["ignore", "inherit", "inherit"] });
  return new Promise((resolve) => {
    waiter.once("error", () => resolve(KILLED));
    waiter.once("exit", (code) => resolve(code ?? KILLED));
  });
}

function waiterCommand(holder: number, fifo: string): readonly [string, ...string[]] {
  return [SHELL, "-c", WAITER_SCRIPT, "dewy", String(holder), fifo];
}

/**
 * Makes the FIFO between a holder and a waiter, in a directory of its own.
 *
 * @returns its path; `undefined` where there is no `mkfifo`.
 */
export function makeFifo(): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), "dewy-"));
  const fifo = join(directory, "end");
  const { status } = spawnSync("mkfifo", ["-m", "600", fifo], { stdio: "ignore" });
  if (status === 0) return fifo;
  removeFifo(fifo);
  return undefined;
}

/**
 * Removes a FIFO that nobody is going to use.
 *
 * @param fifo from {@link makeFifo}.
 */
export function removeFifo(fifo: string): void {
  rmSync(join(fifo, ".."), { recursive: true, force: true });
}

/**
 * Sends the operator's signals on. This process does nothing itself any more: also a second SIGTERM is dewy's to answer.
 *
 * @param holder the holder's pid.
 */
export function forwardSignals(holder: number): void {
  for (const name of SIGNALS) {
    process.removeAllListeners(name);
    process.on(name, () => {
      try {
        process.kill(holder, name);
      } catch {
        // It has ended; so will this.
      }
    });
  }
}
