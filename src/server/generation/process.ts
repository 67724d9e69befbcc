import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { HostError } from "../../core/error.ts";
import { systemReason } from "../../host/files/atomic_file.ts";
import { processStartTime, recordedStartTime } from "../../host/process/processes.ts";
import { withInherited } from "../../host/sockets/close_on_exec.ts";
import type { HeldSocket } from "../../host/sockets/hold_sockets.ts";
import { FIRST_DESCRIPTOR } from "../../host/sockets/inherited.ts";
import { socketInode, socketLink } from "../../host/sockets/socket_table.ts";
import { generationCommand, type RunAs } from "./command.ts";
import { generationEnvironment } from "./environment.ts";
import { becomesProgram, notExecuted } from "./execution.ts";
import { type NotifySocket, openNotifySocket } from "./notify_socket.ts";
import { type OutputRelay, startRelay } from "./output_relay.ts";

/** What to start as a generation of the app. */
export interface GenerationOptions {
  /** The program and its arguments; searched for in the `PATH` of `env`. */
  command: readonly [string, ...string[]];
  cwd: string;
  /** The whole environment; what speaks of dewy's own sockets is replaced. */
  env: Readonly<Record<string, string | undefined>>;
  /** Listening sockets, which it gets as descriptors 3 and following. */
  sockets: readonly HeldSocket[];
  /** Its number, for `SERVER_STARTER_GENERATION`. */
  generation: number;
  /** Whether it gets a descriptor to write to when it is ready: `DEWY_READY_FD`. */
  readyDescriptor: boolean;
  /** Whether it gets a `NOTIFY_SOCKET` as well, where that can be had: see `notify_socket.ts`. */
  notifySocket?: boolean;
  /** Who it runs as; this process's user unless told. */
  user?: RunAs | undefined;
  /** The directory of a control group that it joins, if it may. */
  cgroup?: string | undefined;
  /** Where the names of its output are made for a moment; the directory must exist. */
  runDirectory: string;
  /** What each of its lines begins with on dewy's own output; empty: nothing. */
  prefix: string;
  /** Hears all it writes, as it comes; see `output_relay.ts` for how it gets to dewy's own output. */
  onOutput(chunk: Uint8Array): void;
  /** Called as soon as its process is there, which is before the program itself runs. */
  onSpawn?(process: SpawnedGeneration): void;
}

/** What a generation's processes are recognised by from the start. */
export interface SpawnedGeneration {
  readonly pid: number;
  /** See `processStartTime`. */
  readonly startTime: string | undefined;
  /** What its readiness descriptor is open to, such as `socket:[123]`; `undefined` where the system does not tell. */
  readonly channel: string | undefined;
}

/** How a generation ended. */
export interface GenerationExit {
  code: number | null;
  signal: string | null;
}

/** A generation that runs, in a process group of its own. */
export interface GenerationProcess {
  readonly pid: number;
  /** Resolves when the main process has ended and what it wrote has been heard. */
  readonly exited: Promise<GenerationExit>;
  /** Resolves when something was written to the readiness descriptor, or `READY=1` to the socket; else never. */
  readonly ready: Promise<void>;
}

/** How long output may still arrive after the exit: processes that it left behind keep the pipes open. */
const OUTPUT_GRACE_MS = 250;
/** How much of what the shell says is kept in case the program cannot be executed. */
const FIRST_WORDS = 2_048;

/**
 * Starts the app with its sockets. It speaks both protocols: `SERVER_STARTER_PORT` (https://metacpan.org/pod/Server::Starter)
 * and `LISTEN_FDS` (https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html).
 *
 * @param options what to start.
 * @returns the process, once the program itself runs.
 * @throws NotExecutedError when the system does not execute it; HostError when this machine lacks what it takes.
 */
export async function startGeneration(options: GenerationOptions): Promise<GenerationProcess> {
  const notify = options.notifySocket ? await openNotifySocket(options.runDirectory) : undefined;
  try {
    return await startWith(options, notify);
  } catch (error) {
    notify?.close();
    throw error;
  }
}

async function startWith(
  options: GenerationOptions,
  notify: NotifySocket | undefined,
): Promise<GenerationProcess> {
  let firstWords = "";
  const relay = startRelay({
    directory: options.runDirectory,
    prefix: options.prefix,
    onOutput: (chunk) => {
      if (firstWords.length < FIRST_WORDS) firstWords += new TextDecoder().decode(chunk);
      options.onOutput(chunk);
    },
  });
  const child = spawnGeneration(options, relay, notify?.path);
  if (child.pid !== undefined) options.onSpawn?.(spawned(child.pid, options));
  const exited = exitOf(child, relay, options);
  exited.catch(() => {});
  const ready = Promise.race([
    readyOf(child, options),
    notify?.ready ?? new Promise<void>(() => {}),
  ]);
  if (notify !== undefined) void exited.then(notify.close, notify.close);
  const { pid } = child;
  if (pid === undefined) {
    await exited;
    throw new HostError(`Cannot start "${options.command[0]}": there is no process`);
  }
  const exit = await becomesProgram(pid, exited);
  const error = exit && notExecuted(options.command[0], exit, firstWords);
  if (error !== undefined) throw error;
  return { pid, exited, ready };
}

function spawnGeneration(
  options: GenerationOptions,
  relay: OutputRelay,
  notifySocket: string | undefined,
): ChildProcess {
  try {
    const { program, args, ids } = generationCommand(options.command, options.user, options.cgroup);
    return withInherited(
      options.sockets.map(({ fd }) => fd),
      (sockets) =>
        spawn(program, args, {
          cwd: options.cwd,
          env: generationEnvironment({ ...options, notifySocket }),
          stdio: [
            "ignore",
            relay.stdout,
            relay.stderr,
            ...sockets,
            options.readyDescriptor ? "pipe" : "ignore",
          ],
          detached: true,
          ...ids,
        }),
    );
  } finally {
    relay.handedOver();
  }
}

function spawned(pid: number, options: GenerationOptions): SpawnedGeneration {
  const inode = options.readyDescriptor
    ? socketInode(FIRST_DESCRIPTOR + options.sockets.length, pid)
    : undefined;
  const channel = inode === undefined ? undefined : socketLink(inode);
  // On a busy machine it may have put itself into the background and ended by now.
  return { pid, startTime: recordedStartTime(pid) ?? processStartTime(pid), channel };
}

function exitOf(
  child: ChildProcess,
  relay: OutputRelay,
  options: GenerationOptions,
): Promise<GenerationExit> {
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      const name = options.command[0];
      reject(
        new HostError(`Cannot start "${name}" in ${options.cwd}: ${systemReason(cause)}`, {
          cause,
        }),
      );
    });
    child.once("exit", (code, signal) => {
      const exit = { code, signal };
      const timer = setTimeout(() => resolve(exit), OUTPUT_GRACE_MS);
      void relay.ended.then(() => {
        clearTimeout(timer);
        resolve(exit);
      });
    });
  });
}

function readyOf(child: ChildProcess, options: GenerationOptions): Promise<void> {
  return new Promise((resolve) => {
    if (!options.readyDescriptor) return;
    const stream = child.stdio[FIRST_DESCRIPTOR + options.sockets.length] as Readable | null;
    stream?.once("data", () => {
      resolve();
      stream.resume();
    });
    stream?.on("error", () => {});
  });
}
