import { spawn, spawnSync } from "node:child_process";
import { lstatSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { helperEnvironment } from "../process/helper_environment.ts";
import { isRunning, namesIn, signalProcess } from "../process/processes.ts";
import { WAITER_SCRIPT } from "./holder.ts";
import { libc } from "./libc.ts";

export const SHELL = "/bin/sh";
/** `128 + SIGKILL`: the holder itself was killed. */
export const KILLED = 137;

const SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1"] as const;

type Execve = (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => void;

/** True on Bun, Node 22.15 and newer, and Deno with the permission for FFI. */
export function canReplaceProcess(): boolean {
  return execve() !== undefined;
}

/** https://nodejs.org/api/process.html#processexecvefile-args-env */
function execve(): Execve | undefined {
  const native = (process as { execve?: Execve }).execve;
  return native?.bind(process) ?? libc()?.execve;
}

/** The shell forwards signals to the holder and exits with its exit code. Returns only if that fails. */
export function becomeWaiter(holder: number, fifo: string): void {
  execve()?.(SHELL, waiterCommand(holder, fifo), helperEnvironment());
}

/** For a holder that is not a child. */
export function waitForHolder(holder: number, fifo: string): Promise<number> {
  const [program, ...args] = waiterCommand(holder, fifo);
  const waiter = spawn(program, args, {
    detached: true,
    stdio: ["ignore", "inherit", "inherit"],
    env: helperEnvironment(),
  });
  return new Promise((resolve) => {
    waiter.once("error", () => resolve(KILLED));
    waiter.once("exit", (code) => resolve(code ?? KILLED));
  });
}

function waiterCommand(holder: number, fifo: string): readonly [string, ...string[]] {
  return [SHELL, "-c", WAITER_SCRIPT, "dewy", String(holder), fifo];
}

/** Returns `undefined` without `mkfifo`. */
export function makeFifo(): string | undefined {
  removeAbandoned();
  const directory = mkdtempSync(join(tmpdir(), `dewy-${process.pid}-`));
  const fifo = join(directory, "end");
  const { status } = spawnSync("mkfifo", ["-m", "600", fifo], {
    stdio: "ignore",
    env: helperEnvironment(),
  });
  if (status === 0) return fifo;
  removeFifo(fifo);
  return undefined;
}

const FIFO_DIRECTORY = /^dewy-(\d+)-[A-Za-z0-9]{6}$/;
/** A waiter removes its own within milliseconds. */
const ABANDONED_MS = 60_000;

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

export function removeFifo(fifo: string): void {
  rmSync(join(fifo, ".."), { recursive: true, force: true });
}

/** Other listeners are removed: also a second SIGTERM is for dewy to handle. */
export function forwardSignals(holder: number): void {
  for (const name of SIGNALS) {
    process.removeAllListeners(name);
    process.on(name, () => signalProcess(holder, name));
  }
}
