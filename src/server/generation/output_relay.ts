/**
 * The way of the app's output: straight to dewy's own standard output and error, through small programs that outlive
 * dewy. When dewy is killed, a pipe to it would break, and with it every app that writes a line.
 *
 * ```text
 * app ── out ──> tee ──> dewy's standard output
 *     └─ err ──> tee ──> dewy's standard error        (one tee for both where these are the same, as under systemd)
 *                 └── tail ──> tee ──> dewy, which keeps the last lines
 * ```
 *
 * All of them get open descriptors, so that none ever waits for another one to open a name: when the app has ended, or
 * dewy was killed before the app was there, nobody can write any more, and each reads to the end and exits.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { HostError } from "../../core/error.ts";

/** What a relay is made of. */
export interface RelayOptions {
  /** Where its FIFOs are made; the directory must exist. */
  directory: string;
  /** What every line begins with; empty: nothing. */
  prefix: string;
  /** Hears everything, of both streams, as it comes. */
  onOutput(chunk: Uint8Array): void;
}

/** A relay that waits for an app. */
export interface OutputRelay {
  /** Descriptors of this process, for the app's standard output and error. */
  readonly stdout: number;
  readonly stderr: number;
  /** Resolves when everybody who could write has gone, and all was heard. */
  readonly ended: Promise<void>;
  /** The app has been started, or never will be: closes the descriptors. */
  handedOver(): void;
}

const SHELL = "/bin/sh";
// A signal that ends dewy, to its group or from a terminal, must not end what the app still writes to.
const DEAF = "trap '' PIPE INT TERM HUP QUIT";
const TEE = `${DEAF}; exec tee /dev/fd/3`;
// Without dewy it goes on reading, into nothing: opening a pipe that has no reader blocks.
const TAIL = `${DEAF}; exec tee /dev/null`;
const PREFIXED_TEE = `${DEAF}; tee /dev/fd/3 | exec sed -u "s|^|$1|"`;

/**
 * Starts the programs of a relay. Nothing is awaited, so that no other program is started while its descriptors are open.
 *
 * @param options where, and who listens.
 * @returns the relay.
 * @throws HostError when the FIFOs or the programs cannot be had.
 */
export function startRelay(options: RelayOptions): OutputRelay {
  const isOne = isSameFile(1, 2);
  const [tail, out, err = out] = openFifos(options.directory, isOne ? 2 : 3) as [Fifo, Fifo, Fifo?];
  const fifos = new Set([tail, out, err]);
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
      handedOver: () => {
        closeSync(out.write);
        if (err !== out) closeSync(err.write);
      },
    };
  } catch (error) {
    closeSync(out.write);
    if (err !== out) closeSync(err.write);
    throw error;
  } finally {
    closeSync(tail.write);
    for (const { read } of fifos) closeSync(read);
  }
}

/** The two ends of a pipe. */
interface Fifo {
  readonly read: number;
  readonly write: number;
}

/** Pipes have no call of their own here; FIFOs whose names are gone are the same. */
function openFifos(parent: string, count: number): readonly Fifo[] {
  const directory = mkdtempSync(join(parent, "output-"));
  try {
    const paths = Array.from({ length: count }, (_, index) => join(directory, String(index)));
    // Others may write: the app may run as somebody else, and open /dev/stdout.
    const { status, stderr } = spawnSync("mkfifo", ["-m", "0622", ...paths], { encoding: "utf8" });
    if (status !== 0) {
      throw new HostError(`Cannot make ${paths[0]}: ${stderr?.trim() || "no mkfifo"}`);
    }
    return paths.map(openFifo);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Opening one end alone would wait for the other one. */
function openFifo(path: string): Fifo {
  const both = openSync(path, "r+");
  try {
    return { read: openSync(path, "r"), write: openSync(path, "w") };
  } finally {
    closeSync(both);
  }
}

function isSameFile(a: number, b: number): boolean {
  try {
    const [one, other] = [fstatSync(a), fstatSync(b)];
    return one.dev === other.dev && one.ino === other.ino;
  } catch {
    return false;
  }
}

function start(
  [program = "", ...args]: readonly string[],
  stdio: ("ignore" | "pipe" | "inherit" | number)[],
): ChildProcess {
  const child = spawn(program, args, { stdio, detached: true });
  child.on("error", () => {});
  if (child.pid === undefined) throw new HostError(`Cannot start ${program} for the app's output`);
  return child;
}
