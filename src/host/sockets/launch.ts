import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HostError } from "../../core/error.ts";
import { SIGNAL_EXIT_CODES, type Signals } from "../process/io.ts";
import { processStartTime } from "../process/processes.ts";
import { ownCommand } from "./command_line.ts";
import { HOLDER_NAME, HOLDER_SCRIPT } from "./holder_script.ts";
import { FIRST_DESCRIPTOR, type InheritedSocket } from "./inherited.ts";
import type { ListenSpec } from "./listen_spec.ts";
import { type Listener, listenAll, prepareAddresses } from "./listeners.ts";
import { canReplaceProcess } from "./replace_process.ts";
import { becomeWaiter, forwardSignals, KILLED, makeFifo, removeFifo, SHELL } from "./waiter.ts";

/** What a launcher knows of its process. */
export interface LaunchOptions {
  /** dewy's arguments. */
  argv: readonly string[];
  /** The working directory of dewy: who has the same may take the sockets over. */
  root: string;
  /** Tell of a signal that came before. */
  signals: Signals;
}

/**
 * Opens sockets, leaves them to a holder that starts this program once more, and waits for its end. See `holder_script.ts`.
 *
 * @param specs what to open.
 * @param inherited sockets that the second stage is to have as well, with their names.
 * @param options the process.
 * @returns dewy's exit code; on runtimes that can replace their process it never returns.
 * @throws HostError when a socket cannot be opened.
 */
export async function launch(
  specs: readonly ListenSpec[],
  inherited: readonly (InheritedSocket & { readonly name: string })[],
  { argv, root, signals }: LaunchOptions,
): Promise<number> {
  const addresses = await prepareAddresses(specs);
  const stoppedBy = signals.stoppedBy();
  if (stoppedBy !== undefined) return SIGNAL_EXIT_CODES[stoppedBy];
  const fifo = canReplaceProcess() ? makeFifo() : undefined;
  let holder: ChildProcess;
  try {
    // From here to the closing of the sockets nothing is awaited that turns the event loop.
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

/**
 * The command line of a holder whose launcher is this process.
 *
 * @param fifo hears of its end; `undefined`: nobody listens.
 * @param root the working directory of dewy.
 * @param argv dewy's arguments.
 * @returns the arguments of `/bin/sh`.
 */
export function holderCommand(
  fifo: string | undefined,
  root: string,
  argv: readonly string[],
): readonly string[] {
  const next = join(tmpdir(), `dewy-${randomUUID()}`);
  const launcher = `${process.pid}:${processStartTime(process.pid) ?? ""}`;
  return ["-c", HOLDER_SCRIPT, HOLDER_NAME, fifo ?? "", next, launcher, root, ...ownCommand(argv)];
}

function startHolder(
  sockets: readonly Pick<Listener, "name" | "fd">[],
  args: readonly string[],
): ChildProcess {
  const names = sockets.map(({ name }, index) => `${name}=${FIRST_DESCRIPTOR + index}`);
  return spawn(SHELL, [...args], {
    // A session of its own: see holder_script.ts.
    detached: true,
    stdio: ["ignore", "inherit", "inherit", ...sockets.map(({ fd }) => fd)],
    env: { ...process.env, SERVER_STARTER_PORT: names.join(";") },
  });
}

/**
 * `O_NONBLOCK` belongs to the socket, not to the descriptor: an app that accepts with blocking calls would die of
 * EAGAIN. Runtimes clear it on what becomes a child's standard input. This is done here, once, before any app runs:
 * an app that has set it again (asyncio, nginx) relies on it, so later stages never touch it.
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
