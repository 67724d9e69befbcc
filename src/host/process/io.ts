/**
 * The process dewy runs in, behind one small interface: streams, environment and signals. It imports
 * nothing, so that the handlers are in place before anything heavy is loaded: an early `SIGUSR1` would
 * open Node's inspector, an early `SIGHUP` would end the program.
 *
 * @module
 */

/** A stream for people or for pipes. */
export interface TextSink {
  /** Writes text as it is; never throws, not even when the reader has gone. */
  write(text: string): void;
  /** Whether a person is looking at it. */
  readonly isTerminal: boolean;
  /** The width of the terminal; absent for pipes and files. */
  readonly columns?: number | undefined;
}

/** What the operator says while dewy runs. */
export interface Signals {
  /** Aborted by the first SIGINT, SIGTERM or SIGQUIT; the second one ends the process at once. */
  readonly stop: AbortSignal;
  /** The signal that asked to stop, such as `SIGTERM`; `undefined` until one came. */
  stoppedBy(): StopSignal | undefined;
  /**
   * Hears of SIGHUP and SIGUSR1: poll now.
   *
   * @param listener called once per signal, with its name.
   * @returns a function that unsubscribes.
   */
  onWake(listener: (signal: string) => void): () => void;
}

/** The signals that ask dewy to stop. */
export type StopSignal = "SIGINT" | "SIGTERM" | "SIGQUIT";

/** The process, as the commands see it. */
export interface ProcessIo {
  /** Results. */
  stdout: TextSink;
  /** Logs, progress and errors. */
  stderr: TextSink;
  /** The environment. */
  env: Readonly<Record<string, string | undefined>>;
  /** The operator. */
  signals: Signals;
  /**
   * Keeps the process running from now on when an error is thrown that nothing catches.
   *
   * @param listener called with each such error.
   */
  survive(listener: (error: unknown) => void): void;
}

/** The exit code a shell gives a process that a signal ended: 128 and the signal's number. */
export const SIGNAL_EXIT_CODES: Readonly<Record<StopSignal, number>> = {
  SIGINT: 130,
  SIGQUIT: 131,
  SIGTERM: 143,
};

/** The process, and its end. */
export interface HostProcess extends ProcessIo {
  /**
   * Handles errors that nothing catches until {@link ProcessIo.survive} is called.
   *
   * @param handler called with each such error; it should end the process.
   */
  onUncaught(handler: (error: unknown) => void): void;
  /**
   * Ends the process when everything written has left it.
   *
   * @param code the exit code.
   */
  exit(code: number): Promise<void>;
}

/**
 * Takes over the signals and the streams of this process.
 *
 * @returns the process as the commands see it.
 */
export function openProcess(): HostProcess {
  const stdout = textSink(process.stdout);
  const stderr = textSink(process.stderr);
  let survivor: ((error: unknown) => void) | undefined;
  return {
    stdout,
    stderr,
    env: process.env,
    signals: listen(),
    survive: (listener) => {
      survivor = listener;
    },
    onUncaught: (handler) => {
      const handle = (error: unknown): void => (survivor ?? handler)(error);
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
    // `dewy check | head` closes the pipe early; that is no failure of ours.
    stream.on("error", () => resolve());
    stream.once("close", () => resolve());
  });
  return {
    isTerminal: stream.isTTY === true,
    columns: stream.columns,
    write: (text) => {
      if (!stream.writable) return;
      // Bun tells only the callback of a write itself when its bytes have left.
      last = new Promise((resolve) => stream.write(text, () => resolve()));
    },
    drained: () => Promise.race([last, gone]),
  };
}

/** A signal to all of a service reaches dewy directly, and once more through the launcher: that is no second one. */
const SAME_SIGNAL_MS = 500;

function listen(): Signals {
  const stop = new AbortController();
  const wakers = new Set<(signal: string) => void>();
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
      for (const wake of wakers) wake(name);
    });
  }
  return {
    stop: stop.signal,
    stoppedBy: () => stoppedBy,
    onWake: (listener) => {
      wakers.add(listener);
      return () => wakers.delete(listener);
    },
  };
}
