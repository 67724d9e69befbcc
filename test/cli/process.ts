import type { ProcessIo, StopSignal } from "../../src/host/process/io.ts";

/** A process whose output can be read and whose operator is the test. */
export interface FakeProcess extends ProcessIo {
  /** Everything written to standard output. */
  out(): string;
  /** Everything written to standard error. */
  err(): string;
  /** Asks to stop, as the operator would. */
  kill(signal: StopSignal): void;
}

/**
 * Makes a process for a test.
 *
 * @param options the environment, and whether standard output and error are a terminal.
 * @returns the process.
 */
export function fakeProcess(
  options: { env?: Record<string, string>; isTerminal?: boolean; columns?: number } = {},
): FakeProcess {
  const isTerminal = options.isTerminal ?? false;
  const stop = new AbortController();
  let out = "";
  let err = "";
  let stoppedBy: StopSignal | undefined;
  return {
    argv: [],
    env: options.env ?? {},
    stdout: {
      isTerminal,
      columns: options.columns,
      write: (text) => {
        out += text;
      },
    },
    stderr: {
      isTerminal,
      columns: options.columns,
      write: (text) => {
        err += text;
      },
    },
    signals: { stop: stop.signal, stoppedBy: () => stoppedBy, onReload: () => () => {} },
    keepRunning: () => {},
    out: () => out,
    err: () => err,
    kill: (signal) => {
      stoppedBy = signal;
      stop.abort(new DOMException(`Stopped by ${signal}`, "AbortError"));
    },
  };
}
