import { spawn } from "node:child_process";
import { AbortedError, HostError } from "../../core/error.ts";
import { systemReason } from "../files/atomic_file.ts";
import { signalGroup } from "./processes.ts";

export interface RunOptions {
  /** The program and its arguments; no shell is involved. */
  command: readonly [string, ...string[]];
  cwd: string;
  /** The whole environment; nothing is inherited. */
  env: Readonly<Record<string, string | undefined>>;
  /** Standard input. Empty by default. */
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
  /** The last part of standard output. */
  stdout: string;
  /** The last part of standard error. */
  stderr: string;
  durationMs: number;
  timedOut: boolean;
}

const KEPT_BYTES = 64 * 1024;
/** Between SIGTERM and SIGKILL. */
const TERM_GRACE_MS = 5_000;
/** How long to wait for output after the exit: a daemon that the process has started keeps the pipes open. */
const OUTPUT_GRACE_MS = 500;

/**
 * Runs a program in its own process group and waits until it exits. On timeout or abort, the whole group gets SIGTERM and,
 * five seconds later, SIGKILL. A failing exit code is not an error.
 *
 * @throws HostError if the program cannot be started; AbortedError if the signal is aborted.
 */
export async function run(options: RunOptions): Promise<RunResult> {
  options.signal?.throwIfAborted();
  const startedAt = performance.now();
  const [program, ...args] = options.command;
  const settings = { cwd: options.cwd, env: definedOnly(options.env), detached: true };
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
  const end = (): void => {
    kill("SIGTERM");
    killTimer ??= setTimeout(() => kill("SIGKILL"), TERM_GRACE_MS);
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
    options.signal?.removeEventListener("abort", end);
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const defined: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) defined[name] = value;
  return defined;
}

function exitOf(child: ReturnType<typeof spawn>, program: string): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new HostError(`Cannot run ${program}: ${systemReason(cause)}`, { cause }));
    });
    child.once("exit", (code) => resolve(code));
  });
}

interface Output {
  on(event: "data", listener: (chunk: Buffer) => void): unknown;
  once(event: "close", listener: () => void): unknown;
  readonly closed: boolean;
}

function keepTail(stream: Output, keptBytes: number): () => string {
  let chunks: Buffer[] = [];
  let length = 0;
  stream.on("data", (chunk) => {
    chunks.push(chunk);
    length += chunk.length;
    if (length > 2 * keptBytes) {
      chunks = [Buffer.concat(chunks).subarray(-keptBytes)];
      length = keptBytes;
    }
  });
  return () => Buffer.concat(chunks).subarray(-keptBytes).toString("utf8");
}

function readLines(stream: Output, onLine: (line: string) => void): void {
  const decoder = new TextDecoder();
  let rest = "";
  stream.on("data", (chunk) => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}

/** "close" is emitted only after every process that holds the pipe has closed it, hence the timeout. */
function outputEnd(streams: readonly Output[]): Promise<void> {
  const closed = streams.map((stream) =>
    stream.closed ? Promise.resolve() : new Promise<void>((r) => stream.once("close", () => r())),
  );
  let timer: ReturnType<typeof setTimeout> | undefined;
  const grace = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, OUTPUT_GRACE_MS);
  });
  return Promise.race([Promise.all(closed).then(() => {}), grace]).finally(() =>
    clearTimeout(timer),
  );
}
