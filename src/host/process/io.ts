// This file imports nothing, so that the signal handlers are in place before anything heavy is loaded: an early `SIGUSR1`
// would open Node's inspector, an early `SIGHUP` would end the program.

export interface TextSink {
  /** Writes text unchanged; never throws, not even if the reader has closed the pipe. */
  write(text: string): void;
  readonly isTerminal: boolean;
  readonly columns?: number | undefined;
  /** Whether the reader has closed the pipe. */
  readonly isClosed?: boolean;
}

export interface Signals {
  /** Aborted by the first SIGINT, SIGTERM or SIGQUIT; the second one exits immediately. */
  readonly stop: AbortSignal;
  stoppedBy(): StopSignal | undefined;
  /** Calls the listener with each `SIGHUP` or `SIGUSR1`. Returns a function that unsubscribes. */
  onReload(listener: (signal: string) => void): () => void;
}

export type StopSignal = "SIGINT" | "SIGTERM" | "SIGQUIT";

export interface ProcessIo {
  /** The words after the program's name. */
  argv: readonly string[];
  stdout: TextSink;
  stderr: TextSink;
  env: Readonly<Record<string, string | undefined>>;
  signals: Signals;
  /** From now on, an uncaught error is passed to the listener and does not end the process. */
  keepRunning(listener: (error: unknown) => void): void;
}

export const SIGNAL_EXIT_CODES: Readonly<Record<StopSignal, number>> = {
  SIGINT: 130,
  SIGQUIT: 131,
  SIGTERM: 143,
};

interface HostProcess extends ProcessIo {
  /** Handles uncaught errors until {@link ProcessIo.keepRunning} is called. */
  onUncaught(handler: (error: unknown) => void): void;
  exit(code: number): Promise<void>;
}

export function openProcess(): HostProcess {
  const stdout = textSink(process.stdout);
  const stderr = textSink(process.stderr);
  let onError: ((error: unknown) => void) | undefined;
  return {
    argv: process.argv.slice(2),
    stdout,
    stderr,
    env: process.env,
    signals: listen(),
    keepRunning: (listener) => {
      onError = listener;
    },
    onUncaught: (handler) => {
      const handle = (error: unknown): void => (onError ?? handler)(error);
      process.on("uncaughtException", handle);
      process.on("unhandledRejection", handle);
    },
    exit: async (code) => {
      process.exitCode = code;
      await Promise.all([stdout.drained(), stderr.drained()]);
      process.exit(code);
    },
  };
}

function textSink(stream: NodeJS.WriteStream): TextSink & { drained(): Promise<void> } {
  let last: Promise<void> = Promise.resolve();
  const gone = new Promise<void>((resolve) => {
    // `dewy check | head` closes the pipe early.
    stream.on("error", () => resolve());
    stream.once("close", () => resolve());
  });
  return {
    isTerminal: stream.isTTY === true,
    columns: stream.columns,
    get isClosed() {
      return !stream.writable;
    },
    write: (text) => {
      if (!stream.writable) return;
      // On Bun, only the callback of the write reports that its bytes have been flushed.
      last = new Promise((resolve) => stream.write(text, () => resolve()));
    },
    drained: () => Promise.race([last, gone]),
  };
}

/** A signal to a whole service reaches dewy twice: directly, and through the launcher. That counts as one signal. */
const SAME_SIGNAL_MS = 500;

function listen(): Signals {
  const stop = new AbortController();
  const listeners = new Set<(signal: string) => void>();
  let stoppedBy: StopSignal | undefined;
  let stoppedAt = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) {
    process.on(name, () => {
      if (stoppedBy !== undefined) {
        if (performance.now() - stoppedAt > SAME_SIGNAL_MS) process.exit(SIGNAL_EXIT_CODES[name]);
        return;
      }
      stoppedAt = performance.now();
      stoppedBy = name;
      stop.abort(new DOMException(`Stopped by ${name}`, "AbortError"));
    });
  }
  for (const name of ["SIGHUP", "SIGUSR1"] as const) {
    process.on(name, () => {
      for (const listener of listeners) listener(name);
    });
  }
  return {
    stop: stop.signal,
    stoppedBy: () => stoppedBy,
    onReload: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
