import { spawn } from "node:child_process";
import { AbortedError, HostError } from "../../core/error.ts";
import { systemReason } from "../files/atomic_file.ts";

/** What to run, and within which limits. */
export interface RunOptions {
  /** The program and its arguments; no shell is involved unless it is named. */
  command: readonly [string, ...string[]];
  /** The working directory. */
  cwd: string;
  /** The whole environment; nothing is inherited. */
  env: Readonly<Record<string, string | undefined>>;
  /** What it reads from standard input; nothing unless told. */
  input?: string;
  /** How long it may run, in milliseconds. */
  timeoutMs: number;
  /** Ends it early. */
  signal?: AbortSignal;
  /** How many bytes of each output are kept at least, the last ones; 64 KiB unless told. */
  keptBytes?: number;
  /** Hears every whole line of standard output as it comes, without the line's end. */
  onLine?: (line: string) => void;
}

/** How a process ended. */
export interface RunResult {
  /** The exit code; `null` when a signal ended it. */
  exitCode: number | null;
  /** The end of standard output. */
  stdout: string;
  /** The end of standard error. */
  stderr: string;
  /** How long it ran, in milliseconds. */
  durationMs: number;
  /** Whether the timeout ended it. */
  timedOut: boolean;
}

const KEPT_BYTES = 64 * 1024;
/** Between SIGTERM and SIGKILL. */
const TERM_GRACE_MS = 5_000;
/** How long output may still arrive after the exit: a daemon that the process left behind keeps the pipes open. */
const OUTPUT_GRACE_MS = 500;

/**
 * Runs a program in a process group of its own and waits for its end. When it runs too long or the signal
 * comes, the whole group gets SIGTERM and, five seconds later, SIGKILL.
 *
 * @param options what to run, and within which limits.
 * @returns how it ended; a failing exit code is a value.
 * @throws HostError when it cannot be started; AbortedError when the signal ended it.
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
  // A program that does not read it closes the pipe early, which is no failure.
  child.stdin?.on("error", () => {});
  child.stdin?.end(options.input);
  const { keptBytes = KEPT_BYTES, onLine } = options;
  if (onLine !== undefined) readLines(child.stdout, onLine);
  const stdout = keepTail(child.stdout, keptBytes);
  const stderr = keepTail(child.stderr, keptBytes);
  let timedOut = false;
  let killTimer: ReturnType<typeof setTimeout> | undefined;
  const end = (): void => {
    killGroup(child.pid, "SIGTERM");
    killTimer ??= setTimeout(() => killGroup(child.pid, "SIGKILL"), TERM_GRACE_MS);
  };
  const timer = setTimeout(() => {
    timedOut = true;
    end();
  }, options.timeoutMs);
  options.signal?.addEventListener("abort", end, { once: true });
  try {
    const exitCode = await exitOf(child, program);
    if (options.signal?.aborted === true) {
      killGroup(child.pid, "SIGKILL");
      throw new AbortedError(`${program} was ended`, { cause: options.signal.reason });
    }
    if (timedOut) killGroup(child.pid, "SIGKILL");
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

/** "close" comes only when everybody who holds the pipe has let go of it, so it is not waited for long. */
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

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has ended already.
  }
}
