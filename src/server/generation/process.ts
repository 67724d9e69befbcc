import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { HostError } from "../../core/error.ts";
import { systemReason } from "../../host/files/atomic_file.ts";
import { processStartTime, recordedStartTime } from "../../host/process/processes.ts";
import { withInherited } from "../../host/sockets/close_on_exec.ts";
import type { HeldSocket } from "../../host/sockets/hold_sockets.ts";
import { FIRST_DESCRIPTOR, SOCKET_VARIABLES } from "../../host/sockets/inherited.ts";
import { socketInode, socketLink } from "../../host/sockets/socket_table.ts";
import {
  becomesProgram,
  type GenerationExit,
  generationCommand,
  notExecuted,
  type RunAs,
} from "./command.ts";
import type { GenerationMark } from "./members.ts";
import { type NotifySocket, openNotifySocket } from "./notify_socket.ts";
import { type OutputRelay, startRelay } from "./output_relay.ts";

export interface GenerationOptions {
  /** The program and its arguments; looked up in the `PATH` of `env`. */
  command: readonly [string, ...string[]];
  cwd: string;
  /** The whole environment; variables about dewy's own sockets are replaced. */
  env: Readonly<Record<string, string | undefined>>;
  /** Listening sockets, inherited as descriptors 3 and up. */
  sockets: readonly HeldSocket[];
  generation: number;
  /** Whether the app also gets a `NOTIFY_SOCKET` where that is available. */
  notifySocket?: boolean;
  user?: RunAs | undefined;
  cgroup?: string | undefined;
  /** An existing directory for temporary FIFOs and the notify socket. */
  runDirectory: string;
  /** Begins each line of the app on dewy's own output. */
  prefix: string;
  onOutput(chunk: Uint8Array): void;
  /** Called as soon as the process exists, before it becomes the program. */
  onSpawn?(process: Omit<GenerationMark, "id" | "sockets">): void;
}

export interface GenerationProcess {
  readonly pid: number;
  /** Resolves when the main process has exited and its output was received. */
  readonly exited: Promise<GenerationExit>;
  /** Resolves on a write to the readiness descriptor, or on `READY=1` on the notify socket; otherwise never. */
  readonly ready: Promise<void>;
}

/** How long to wait for output after the exit: background processes keep the pipes open. */
const OUTPUT_GRACE_MS = 250;
/** How much of the first output is kept for {@link notExecuted}. */
const FIRST_OUTPUT_CHARACTERS = 2_048;

/**
 * Starts the app with its sockets. Both protocols are supported: `SERVER_STARTER_PORT`
 * (https://metacpan.org/pod/Server::Starter) and `LISTEN_FDS`
 * (https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html). Resolves once the process has become the
 * program.
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
  let firstOutput = "";
  const relay = startRelay({
    directory: options.runDirectory,
    prefix: options.prefix,
    onOutput: (chunk) => {
      if (firstOutput.length < FIRST_OUTPUT_CHARACTERS) {
        firstOutput += new TextDecoder().decode(chunk);
      }
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
  const error = exit && notExecuted(options.command[0], exit, firstOutput);
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
          env: generationEnvironment(options, notifySocket),
          stdio: ["ignore", relay.stdout, relay.stderr, ...sockets, "pipe"],
          detached: true,
          ...ids,
        }),
    );
  } finally {
    relay.handedOver();
  }
}

/** Variables of dewy's own service manager and supervisor, which would mislead the app. */
const OWN_VARIABLES = [
  ...SOCKET_VARIABLES,
  "NOTIFY_SOCKET",
  "WATCHDOG_USEC",
  "WATCHDOG_PID",
  "DEWY_READY_FD",
];

/** `LISTEN_PID` is missing here; see `command.ts`. */
function generationEnvironment(
  { env, sockets, generation }: GenerationOptions,
  notifySocket: string | undefined,
): Record<string, string> {
  const own: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !OWN_VARIABLES.includes(name)) own[name] = value;
  }
  own.DEWY_READY_FD = String(FIRST_DESCRIPTOR + sockets.length);
  if (notifySocket !== undefined) own.NOTIFY_SOCKET = notifySocket;
  if (sockets.length === 0) return own;
  const ports = sockets.map(({ name }, index) => `${name}=${FIRST_DESCRIPTOR + index}`);
  return {
    ...own,
    SERVER_STARTER_PORT: ports.join(";"),
    SERVER_STARTER_GENERATION: String(generation),
    LISTEN_FDS: String(sockets.length),
    LISTEN_FDNAMES: sockets.map(({ name }) => name.replaceAll(":", "_").slice(0, 255)).join(":"),
  };
}

function spawned(pid: number, options: GenerationOptions) {
  const inode = socketInode(FIRST_DESCRIPTOR + options.sockets.length, pid);
  const channel = inode === undefined ? undefined : socketLink(inode);
  // On a busy machine the process may have moved to the background and exited already.
  return { pid, startTime: recordedStartTime(pid) ?? processStartTime(pid) ?? "", channel };
}

function exitOf(
  child: ChildProcess,
  relay: OutputRelay,
  { command: [name], cwd }: GenerationOptions,
): Promise<GenerationExit> {
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      const reason = systemReason(cause);
      reject(new HostError(`Cannot start "${name}" in ${cwd}: ${reason}`, { cause }));
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
    const stream = child.stdio[FIRST_DESCRIPTOR + options.sockets.length] as Readable | null;
    stream?.once("data", () => {
      resolve();
      stream.resume();
    });
    stream?.on("error", () => {});
  });
}
