import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { HostError } from "../core/error.ts";
import { systemReason } from "./atomic_file.ts";
import { generationCommand, type RunAs } from "./generation_process_command.ts";
import { generationEnvironment } from "./generation_process_environment.ts";
import { becomesProgram, notExecuted } from "./generation_process_execution.ts";
import { groupRuns } from "./generation_process_group.ts";
import { withInherited } from "./listen/close_on_exec.ts";
import type { HeldSocket } from "./listen/hold_sockets.ts";
import { FIRST_DESCRIPTOR } from "./listen/inherited.ts";
import { openNotifySocket } from "./notify_socket.ts";
import { type OutputRelay, startRelay } from "./output_relay.ts";
import { signalProcess } from "./process_group.ts";
import { processStartTime } from "./process_identity.ts";

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
  /** Where the names of its output are made for a moment; the directory must exist. */
  runDirectory: string;
  /** What each of its lines begins with on dewy's own output; empty: nothing. */
  prefix: string;
  /** Hears all it writes, as it comes; see `output_relay.ts` for how it gets to dewy's own output. */
  onOutput(chunk: Uint8Array): void;
}

/** How a generation ended. */
export interface GenerationExit {
  code: number | null;
  signal: string | null;
}

/** A generation that runs, in a process group of its own. */
export interface GenerationProcess {
  readonly pid: number;
  /** See `processStartTime`. */
  readonly startTime: string | undefined;
  /** Resolves when the main process has ended and what it wrote has been heard. */
  readonly exited: Promise<GenerationExit>;
  /** Resolves when something was written to the readiness descriptor, or `READY=1` to the socket; else never. */
  readonly ready: Promise<void>;
  /** Sends a signal to the main process. */
  signal(name: string): void;
  /** Sends a signal to the whole group. */
  signalGroup(name: string): void;
  /** Whether a process of the group still runs; one that has ended and was not waited for does not count. */
  groupIsAlive(): boolean;
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
 * @throws DeployError or ConfigError with the reason when it cannot be executed; HostError when this machine lacks what it takes.
 */
export async function startGeneration(options: GenerationOptions): Promise<GenerationProcess> {
  let firstWords = "";
  const relay = startRelay({
    directory: options.runDirectory,
    prefix: options.prefix,
    onOutput: (chunk) => {
      if (firstWords.length < FIRST_WORDS) firstWords += new TextDecoder().decode(chunk);
      options.onOutput(chunk);
    },
  });
  const notify = options.notifySocket ? await openNotifySocket(options.runDirectory) : undefined;
  const child = spawnGeneration(options, relay, notify?.path);
  const exited = exitOf(child, relay, options);
  exited.catch(() => relay.cancel());
  const ready = Promise.race([
    readyOf(child, options),
    notify?.ready ?? new Promise<void>(() => {}),
  ]);
  if (notify !== undefined) void exited.then(notify.close, notify.close);
  const { pid } = child;
  const hasStarted = pid !== undefined && (await becomesProgram(pid, exited));
  if (!hasStarted) {
    const exit = await exited;
    relay.cancel();
    throw notExecuted(options, exit, firstWords);
  }
  relay.forget();
  return {
    pid,
    startTime: processStartTime(pid),
    exited,
    ready,
    signal: (name) => signalProcess(pid, name),
    signalGroup: (name) => signalProcess(-pid, name),
    groupIsAlive: () => groupRuns(pid),
  };
}

function spawnGeneration(
  options: GenerationOptions,
  relay: OutputRelay,
  notifySocket: string | undefined,
): ChildProcess {
  const { program, args, ids } = generationCommand(options.command, options.user, relay);
  return withInherited(
    options.sockets.map(({ fd }) => fd),
    (sockets) =>
      spawn(program, args, {
        cwd: options.cwd,
        env: generationEnvironment({ ...options, notifySocket }),
        stdio: [
          "ignore",
          "ignore",
          "ignore",
          ...sockets,
          options.readyDescriptor ? "pipe" : "ignore",
        ],
        detached: true,
        ...ids,
      }),
  );
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
        new HostError(`Cannot start ${name} in ${options.cwd}: ${systemReason(cause)}`, { cause }),
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
