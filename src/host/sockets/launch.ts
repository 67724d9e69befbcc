import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { HostError } from "../../core/error.ts";
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
  /** dewy's arguments, without the runtime and the script. */
  argv: readonly string[];
  /** The working directory of dewy: only a dewy of the same directory may take its sockets over. */
  root: string;
  signals: Signals;
}

/**
 * Opens sockets, leaves them (and those inherited) to a holder that starts this program again, and waits for its end.
 * Returns dewy's exit code; never returns where the runtime can replace its process.
 */
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
    // A session of its own: see README.md.
    detached: true,
    stdio: ["ignore", "inherit", "inherit", ...sockets.map(({ fd }) => fd)],
    env: { ...process.env, SERVER_STARTER_PORT: names.join(";") },
  });
}

/**
 * `O_NONBLOCK` belongs to the socket, not to the descriptor: an app that accepts with blocking calls would fail with
 * EAGAIN. Runtimes clear it on the descriptor that becomes a child's standard input. This happens once, before any app
 * runs, because an app that has set it again (asyncio, nginx) relies on it.
 */
function clearNonBlocking(fd: number): void {
  spawnSync(SHELL, ["-c", ":"], { stdio: [fd, "ignore", "ignore"] });
}

function exitCodeOf(holder: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    holder.once("error", (cause) => {
      reject(
        new HostError(`Cannot start ${SHELL} to hold the sockets: ${cause.message}`, { cause }),
      );
    });
    holder.once("exit", (code) => resolve(code ?? KILLED));
  });
}
