/**
 * How the app's output travels: to dewy's own standard output and error, through small programs that outlive dewy. With a
 * pipe to dewy instead, every app that writes a line would fail once dewy is killed.
 *
 * ```text
 * app ── out ──> tee ──> dewy's standard output
 *     └─ err ──> tee ──> dewy's standard error        (one tee for both if these are the same, as under systemd)
 *                 └── tail ──> tee ──> dewy, which keeps the last lines
 * ```
 *
 * All programs get open descriptors, so that none waits for another to open a name. Once the app has exited, or if dewy is
 * killed before it starts the app, no writer is left: each program reads to the end and exits.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { HostError } from "../../core/error.ts";
import { helperEnvironment } from "../../host/process/helper_environment.ts";
import { attempt } from "./cgroup.ts";

export interface RelayOptions {
  directory: string;
  prefix: string;
  onOutput(chunk: Uint8Array): void;
}

export interface OutputRelay {
  readonly stdout: number;
  readonly stderr: number;
  /** Resolves when no writer is left and all output was received. */
  readonly ended: Promise<void>;
  /** Closes the descriptors, once the app was started or has failed to start. */
  handedOver(): void;
}

const SHELL = "/bin/sh";
// A signal to dewy's process group or from a terminal must not end the programs that the app still writes to.
const IGNORE_SIGNALS = "trap '' PIPE INT TERM HUP QUIT";
const TEE = `${IGNORE_SIGNALS}; exec tee /dev/fd/3`;
// Without dewy it keeps reading and discards the output: opening a pipe that has no reader blocks.
const TAIL = `${IGNORE_SIGNALS}; exec tee /dev/null`;
const PREFIXED_TEE = `${IGNORE_SIGNALS}; tee /dev/fd/3 | exec sed -u "s|^|$1|"`;

/**
 * Synchronous, so that no other program is started in between and inherits the open descriptors.
 */
export function startRelay(options: RelayOptions): OutputRelay {
  const isOne = isSameFile(1, 2);
  const [tail, out, err = out] = openFifos(options.directory, isOne ? 2 : 3) as [Fifo, Fifo, Fifo?];
  const fifos = new Set([tail, out, err]);
  const handedOver = (): void => {
    closeSync(out.write);
    if (err !== out) closeSync(err.write);
  };
  try {
    const reader = start([SHELL, "-c", TAIL], [tail.read, "pipe", "ignore"]);
    const prefix = options.prefix.replaceAll(/[\\&|\n]/g, (c) => (c === "\n" ? " " : `\\${c}`));
    const tee =
      prefix === "" ? [SHELL, "-c", TEE] : [SHELL, "-c", PREFIXED_TEE, "dewy-output", prefix];
    start(tee, [out.read, "inherit", "ignore", tail.write]);
    if (err !== out) start(tee, [err.read, 2, "ignore", tail.write]);
    reader.stdout?.on("data", (chunk: Uint8Array) => options.onOutput(chunk));
    reader.stdout?.on("error", () => {});
    return {
      stdout: out.write,
      stderr: err.write,
      ended: new Promise((resolve) => reader.once("close", () => resolve())),
      handedOver,
    };
  } catch (error) {
    handedOver();
    throw error;
  } finally {
    closeSync(tail.write);
    for (const { read } of fifos) closeSync(read);
  }
}

interface Fifo {
  readonly read: number;
  readonly write: number;
}

/** Node has no call for pipes; FIFOs whose names were removed are equivalent. */
function openFifos(parent: string, count: number): readonly Fifo[] {
  const directory = mkdtempSync(join(parent, "output-"));
  try {
    const paths = Array.from({ length: count }, (_, index) => join(directory, String(index)));
    // Writable for others: the app may run as another user and open /dev/stdout.
    const { status, stderr } = spawnSync("mkfifo", ["-m", "0622", ...paths], {
      encoding: "utf8",
      env: helperEnvironment(),
    });
    if (status !== 0) {
      throw new HostError(`Cannot create ${paths[0]}: ${stderr?.trim() || "no mkfifo"}`);
    }
    return paths.map(openFifo);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Opening one end alone would wait for the other end. */
function openFifo(path: string): Fifo {
  const both = openSync(path, "r+");
  try {
    return { read: openSync(path, "r"), write: openSync(path, "w") };
  } finally {
    closeSync(both);
  }
}

function isSameFile(a: number, b: number): boolean {
  const [one, other] = [a, b].map((fd) => attempt(() => fstatSync(fd)));
  return one !== undefined && one.dev === other?.dev && one.ino === other.ino;
}

function start(
  [program = "", ...args]: readonly string[],
  stdio: ("ignore" | "pipe" | "inherit" | number)[],
): ChildProcess {
  const child = spawn(program, args, { stdio, detached: true, env: helperEnvironment() });
  child.on("error", () => {});
  if (child.pid === undefined) throw new HostError(`Cannot start ${program} for the app's output`);
  return child;
}
