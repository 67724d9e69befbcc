import { spawn, spawnSync } from "node:child_process";
import { lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRunning } from "../process/processes.ts";
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
  removeAbandoned();
  const directory = mkdtempSync(join(tmpdir(), `dewy-${process.pid}-`));
  const fifo = join(directory, "end");
  const { status } = spawnSync("mkfifo", ["-m", "600", fifo], { stdio: "ignore" });
  if (status === 0) return fifo;
  removeFifo(fifo);
  return undefined;
}

const FIFO_DIRECTORY = /^dewy-(\d+)-[A-Za-z0-9]{6}$/;
/** A waiter removes its own within milliseconds. */
const ABANDONED_MS = 60_000;

/** Removes the directories of launchers that were killed before their waiter could do so. */
function removeAbandoned(): void {
  for (const name of namesIn(tmpdir())) {
    const [, pid] = FIFO_DIRECTORY.exec(name) ?? [];
    if (pid === undefined || isRunning(Number(pid), undefined)) continue;
    const path = join(tmpdir(), name);
    const status = lstatSync(path, { throwIfNoEntry: false });
    const isOwn = status?.isDirectory() === true && status.uid === process.getuid?.();
    if (!isOwn || Date.now() - status.mtimeMs < ABANDONED_MS) continue;
    rmSync(path, { recursive: true, force: true });
  }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // a directory may be writable and not readable
  }
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
