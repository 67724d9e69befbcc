import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import type { Environment } from "../../core/environment.ts";
import { AbortedError, HostError } from "../../core/error.ts";
import { systemReason } from "../files/atomic_file.ts";
import { signalGroup } from "./processes.ts";

interface RunOptions {
  command: readonly [string, ...string[]];
  cwd: string;
  /** The whole environment; nothing is inherited. */
  env: Environment;
  input?: string;
  timeoutMs: number;
  signal?: AbortSignal;
  /** At least this many bytes from the end of each output stream are kept. Defaults to 64 KiB. */
  keptBytes?: number;
  /** Called with each complete line of standard output, without its newline. */
  onLine?: (line: string) => void;
}

export interface RunResult {
  /** `null` if the process was killed by a signal. */
  exitCode: number | null;
  stdout: string;
  stderr: string;
  durationMs: number;
  timedOut: boolean;
}

const KEPT_BYTES = 64 * 1024;
const TERM_GRACE_MS = 5_000;
/** How long to wait for output after the exit: a daemon that the process has started keeps the pipes open. */
const OUTPUT_GRACE_MS = 500;

/**
 * The program has its own process group: on timeout or abort, the whole group gets SIGTERM and, five seconds later,
 * SIGKILL. A failing exit code is not an error.
 */
export async function run(options: RunOptions): Promise<RunResult> {
  options.signal?.throwIfAborted();
  const startedAt = performance.now();
  const [program, ...args] = options.command;
  const settings = { cwd: options.cwd, env: options.env, detached: true };
  const child =
    options.input === undefined
      ? spawn(program, args, { ...settings, stdio: ["ignore", "pipe", "pipe"] })
      : spawn(program, args, { ...settings, stdio: ["pipe", "pipe", "pipe"] });
  // A program that does not read its input closes the pipe early.
  child.stdin?.on("error", () => {});
  child.stdin?.end(options.input);
  const { keptBytes = KEPT_BYTES, onLine } = options;
  if (onLine !== undefined) readLines(child.stdout, onLine);
  const stdout = keepTail(child.stdout, keptBytes);
  const stderr = keepTail(child.stderr, keptBytes);
  let timedOut = false;
  let killTimer: ReturnType<typeof setTimeout> | undefined;
  const kill = (signal: NodeJS.Signals): void => {
    if (child.pid !== undefined) signalGroup(child.pid, signal);
  };
  const killNow = (): void => kill("SIGKILL");
  const end = (): void => {
    kill("SIGTERM");
    // dewy may end before the grace period does.
    if (killTimer === undefined) process.once("exit", killNow);
    killTimer ??= setTimeout(killNow, TERM_GRACE_MS);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    end();
  }, options.timeoutMs);
  options.signal?.addEventListener("abort", end, { once: true });
  try {
    const exitCode = await exitOf(child, program);
    if (options.signal?.aborted === true) {
      kill("SIGKILL");
      throw new AbortedError(`Stopped ${program}`, { cause: options.signal.reason });
    }
    if (timedOut) kill("SIGKILL");
    await outputEnd([child.stdout, child.stderr]);
    return {
      exitCode,
      stdout: stdout(),
      stderr: stderr(),
      durationMs: Math.round(performance.now() - startedAt),
      timedOut,
    };
  } finally {
    clearTimeout(timer);
    clearTimeout(killTimer);
    process.removeListener("exit", killNow);
    options.signal?.removeEventListener("abort", end);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

function exitOf(child: ReturnType<typeof spawn>, program: string): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new HostError(`Cannot run ${program}: ${systemReason(cause)}`, { cause }));
    });
    child.once("exit", (code) => resolve(code));
  });
}

function keepTail(stream: Readable, keptBytes: number): () => string {
  let chunks: Buffer[] = [];
  let length = 0;
  stream.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length > 2 * keptBytes) {
      chunks = [Buffer.concat(chunks).subarray(-keptBytes)];
      length = keptBytes;
    }
  });
  return () => Buffer.concat(chunks).subarray(-keptBytes).toString("utf8");
}

function readLines(stream: Readable, onLine: (line: string) => void): void {
  const decoder = new TextDecoder();
  let rest = "";
  stream.on("data", (chunk: Buffer) => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}

/** "close" is emitted only after every process that holds the pipe has closed it, hence the timeout. */
async function outputEnd(streams: readonly Readable[]): Promise<void> {
  const open = streams.filter((stream) => !stream.closed);
  const closed = open.map((stream) => new Promise((end) => stream.once("close", end)));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const grace = new Promise((resolve) => {
    timer = setTimeout(resolve, OUTPUT_GRACE_MS);
  });
  await Promise.race([Promise.all(closed), grace]);
  clearTimeout(timer);
}
