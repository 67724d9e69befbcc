/**
 * The way of the app's output: straight to dewy's own standard output and error, through small programs that outlive
 * dewy. When dewy is killed, a pipe to it would break, and with it every app that writes a line.
 *
 * ```text
 * app ── out ──> tee ──> dewy's standard output
 *     └─ err ──> tee ──> dewy's standard error
 *                 └── tail ──> cat ──> dewy, which keeps the last lines
 * ```
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { HostError } from "../core/error.ts";

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
  /** The app opens these for writing, as its standard output and error. */
  readonly stdout: string;
  readonly stderr: string;
  /** Resolves when everybody who could write has gone, and all was heard. */
  readonly ended: Promise<void>;
  /** The app has opened its ends: nobody else needs the names. */
  forget(): void;
  /** Nobody will ever write. */
  cancel(): void;
}

const SHELL = "/bin/sh";
// Whoever ends dewy, by a signal to the group or at a terminal, must not end what the app still writes to. The way
// to dewy is opened before the app's: once the app runs, every name has been opened and can go.
const OPEN = 'trap \'\' PIPE INT TERM HUP QUIT; exec 3>"$2" 0<"$1"';
const TEE = `${OPEN}; exec tee /dev/fd/3`;
const PREFIXED_TEE = `${OPEN}; tee /dev/fd/3 | exec sed -u "s|^|$3|"`;
const CAT = 'exec cat "$1"';

/**
 * Starts the programs of a relay.
 *
 * @param options where, and who listens.
 * @returns the relay.
 * @throws HostError when the FIFOs cannot be made.
 */
export function startRelay(options: RelayOptions): OutputRelay {
  const directory = mkdtempSync(join(options.directory, "output-"));
  const [stdout, stderr, tail] = ["out", "err", "tail"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  makeFifos([stdout, stderr, tail]);
  const cat = start(CAT, [tail], ["ignore", "pipe", "ignore"]);
  const script = options.prefix === "" ? TEE : PREFIXED_TEE;
  const prefix = options.prefix.replaceAll(/[\\&|\n]/g, (c) => (c === "\n" ? " " : `\\${c}`));
  const tees = [
    start(script, [stdout, tail, prefix], ["ignore", "inherit", "ignore"]),
    start(script, [stderr, tail, prefix], ["ignore", 2, "ignore"]),
  ];
  cat.stdout?.on("data", (chunk: Uint8Array) => options.onOutput(chunk));
  cat.stdout?.on("error", () => {});
  const forget = (): void => rmSync(directory, { recursive: true, force: true });
  return {
    stdout,
    stderr,
    ended: new Promise((resolve) => cat.once("close", () => resolve())),
    forget,
    cancel: () => {
      for (const child of [cat, ...tees]) child.kill("SIGKILL");
      forget();
    },
  };
}

function makeFifos(paths: readonly string[]): void {
  // Others may write: the app may run as somebody else, and the names are soon gone.
  const { status, stderr } = spawnSync("mkfifo", ["-m", "0622", ...paths], { encoding: "utf8" });
  if (status !== 0) throw new HostError(`Cannot make ${paths[0]}: ${stderr.trim() || "no mkfifo"}`);
}

function start(
  script: string,
  args: readonly string[],
  stdio: ("ignore" | "pipe" | "inherit" | number)[],
): ChildProcess {
  const child = spawn(SHELL, ["-c", script, "dewy-output", ...args], { stdio, detached: true });
  child.on("error", () => {});
  return child;
}
