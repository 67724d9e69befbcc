import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { HostError } from "../../core/error.ts";
import { helperEnvironment } from "../process/helper_environment.ts";
import { SIGNAL_EXIT_CODES, type Signals } from "../process/io.ts";
import { holderCommand } from "./holder.ts";
import { FIRST_DESCRIPTOR, type NamedSocket } from "./inherited.ts";
import type { ListenSpec } from "./listen_spec.ts";
import { listenAll, prepareAddresses } from "./listeners.ts";
import {
  becomeWaiter,
  canReplaceProcess,
  forwardSignals,
  KILLED,
  makeFifo,
  removeFifo,
  SHELL,
} from "./waiter.ts";

export interface LaunchOptions {
  argv: readonly string[];
  /** Only a dewy of the same working directory may take the sockets over. */
  root: string;
  signals: Signals;
}

/** Returns dewy's exit code, unless the runtime replaces this process. */
export async function launch(
  specs: readonly ListenSpec[],
  inherited: readonly NamedSocket[],
  { argv, root, signals }: LaunchOptions,
): Promise<number> {
  const addresses = await prepareAddresses(specs);
  const stoppedBy = signals.stoppedBy();
  if (stoppedBy !== undefined) return SIGNAL_EXIT_CODES[stoppedBy];
  const fifo = canReplaceProcess() ? makeFifo() : undefined;
  let holder: ChildProcess;
  try {
    // Nothing from here to closing the sockets may turn the event loop.
    const opened = await listenAll(addresses);
    for (const { fd } of opened) clearNonBlocking(fd);
    holder = startHolder([...inherited, ...opened], holderCommand(fifo, root, argv));
    for (const listener of opened) listener.close();
  } catch (error) {
    if (fifo !== undefined) removeFifo(fifo);
    throw error;
  }
  const ended = exitCodeOf(holder);
  if (holder.pid === undefined) return ended;
  forwardSignals(holder.pid);
  if (fifo !== undefined) becomeWaiter(holder.pid, fifo);
  return ended;
}

function startHolder(sockets: readonly NamedSocket[], args: readonly string[]): ChildProcess {
  const names = sockets.map(({ name }, index) => `${name}=${FIRST_DESCRIPTOR + index}`);
  return spawn(SHELL, [...args], {
    // Its own session: see README.md.
    detached: true,
    stdio: ["ignore", "inherit", "inherit", ...sockets.map(({ fd }) => fd)],
    env: { ...process.env, SERVER_STARTER_PORT: names.join(";") },
  });
}

/**
 * An app with blocking accept() calls would fail with EAGAIN. Runtimes clear the flag on a child's
 * standard input. It belongs to the socket, not to the descriptor, and an app that sets it
 * (asyncio, nginx) relies on it: so it is cleared once, before any app runs.
 */
function clearNonBlocking(fd: number): void {
  spawnSync(SHELL, ["-c", ":"], { stdio: [fd, "ignore", "ignore"], env: helperEnvironment() });
}

function exitCodeOf(holder: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    holder.once("error", (cause) => {
      const message = `Cannot start ${SHELL} to hold the sockets: ${cause.message}`;
      reject(new HostError(message, { cause }));
    });
    holder.once("exit", (code) => resolve(code ?? KILLED));
  });
}
