import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HostError } from "../../core/error.ts";
import type { ListenSpec } from "../../core/listen_spec.ts";
import { SIGNAL_EXIT_CODES, type Signals } from "../process_io.ts";
import { ownCommand } from "./command_line.ts";
import { HOLDER_SCRIPT, WAITER_SCRIPT } from "./holder_script.ts";
import { FIRST_DESCRIPTOR, type InheritedSocket } from "./inherited.ts";
import { type Listener, listenAll, prepareAddresses } from "./listeners.ts";
import { canReplaceProcess, replaceProcess } from "./replace_process.ts";

const SHELL = "/bin/sh";
const SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1"] as const;
/** `128 + SIGKILL`: the holder itself was killed. */
const KILLED = 137;

/**
 * Opens sockets, leaves them to a holder that starts this program once more, and waits for its end. See `holder_script.ts`.
 *
 * @param specs what to open.
 * @param inherited sockets that the second stage is to have as well, with their names.
 * @param argv dewy's arguments.
 * @param signals tell of a signal that came before.
 * @returns dewy's exit code; on runtimes that can replace their process it never returns.
 * @throws HostError when a socket cannot be opened.
 */
export async function launch(
  specs: readonly ListenSpec[],
  inherited: readonly (InheritedSocket & { readonly name: string })[],
  argv: readonly string[],
  signals: Signals,
): Promise<number> {
  const addresses = await prepareAddresses(specs);
  const stoppedBy = signals.stoppedBy();
  if (stoppedBy !== undefined) return SIGNAL_EXIT_CODES[stoppedBy];
  const fifo = canReplaceProcess() ? makeFifo() : undefined;
  let holder: ChildProcess;
  try {
    // From here to the closing of the sockets nothing is awaited that turns the event loop.
    const opened = await listenAll(addresses);
    holder = startHolder([...inherited, ...opened], fifo, argv);
    for (const listener of opened) listener.close();
  } catch (error) {
    if (fifo !== undefined) removeFifo(fifo);
    throw error;
  }
  const ended = exitCodeOf(holder);
  forwardSignals(holder);
  if (fifo !== undefined && holder.pid !== undefined) {
    replaceProcess(SHELL, [SHELL, "-c", WAITER_SCRIPT, "dewy", String(holder.pid), fifo]);
  }
  return ended;
}

function startHolder(
  sockets: readonly Pick<Listener, "name" | "fd">[],
  fifo: string | undefined,
  argv: readonly string[],
): ChildProcess {
  for (const { fd } of sockets) clearNonBlocking(fd);
  const names = sockets.map(({ name }, index) => `${name}=${FIRST_DESCRIPTOR + index}`);
  return spawn(SHELL, ["-c", HOLDER_SCRIPT, "dewy-holder", fifo ?? "", ...ownCommand(argv)], {
    // A session of its own: see holder_script.ts.
    detached: true,
    stdio: ["ignore", "inherit", "inherit", ...sockets.map(({ fd }) => fd)],
    env: { ...withoutActivation(process.env), SERVER_STARTER_PORT: names.join(";") },
  });
}

/** The second stage must not take these for its own; the pid is another. */
function withoutActivation(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { LISTEN_FDS: _1, LISTEN_PID: _2, LISTEN_FDNAMES: _3, ...rest } = env;
  return rest;
}

/**
 * `O_NONBLOCK` belongs to the socket, not to the descriptor: an app that accepts with blocking calls would die of
 * EAGAIN. Runtimes clear it on what becomes a child's standard input. This is done here, once, before any app runs:
 * an app that has set it again (asyncio, nginx) relies on it, so later stages never touch it.
 */
function clearNonBlocking(fd: number): void {
  spawnSync(SHELL, ["-c", ":"], { stdio: [fd, "ignore", "ignore"] });
}

function makeFifo(): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), "dewy-"));
  const fifo = join(directory, "end");
  const { status } = spawnSync("mkfifo", ["-m", "600", fifo], { stdio: "ignore" });
  if (status === 0) return fifo;
  removeFifo(fifo);
  return undefined;
}

function removeFifo(fifo: string): void {
  rmSync(join(fifo, ".."), { recursive: true, force: true });
}

/** This stage does nothing itself any more: also a second SIGTERM is dewy's to answer. */
function forwardSignals(holder: ChildProcess): void {
  for (const name of SIGNALS) {
    process.removeAllListeners(name);
    process.on(name, () => {
      try {
        if (holder.pid !== undefined) process.kill(holder.pid, name);
      } catch {
        // It has ended; so will this.
      }
    });
  }
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
