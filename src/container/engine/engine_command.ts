import { DewyError, HostError } from "../../core/error.ts";
import { hasCode } from "../../host/files/file_error.ts";
import { type RunResult, run } from "../../host/process/run.ts";
import type { ContainerSpec } from "./engine.ts";
import { engineFailure, type FailedCommand } from "./engine_failure.ts";

/** How an engine's command line is run. */
export interface EngineCommandOptions {
  /** `docker` or `podman`, looked for in `PATH`. */
  program: string;
  /** dewy's environment: `-e NAME` takes values from it. */
  env: Readonly<Record<string, string | undefined>>;
  /** The directory that relative paths in the operator's options start from. */
  cwd: string;
}

/** One call of an engine. */
export interface EngineCall {
  /** The arguments; nothing secret. */
  args: readonly string[];
  /** What it is for, such as `start app-1-0`. */
  action: string;
  /** How long it may take, in milliseconds. */
  timeoutMs: number;
  signal: AbortSignal;
  /** Variables beyond dewy's own. */
  env?: Readonly<Record<string, string>>;
  /** Hears lines of the output as they come. */
  onLine?: (line: string) => void;
  /** Standard error comes within standard output, in the order in which both were written. */
  mergesErrors?: boolean;
  /** The container that it creates or starts, which tells who is to blame for a failure. */
  spec?: ContainerSpec;
}

/** Runs one engine's program. */
export interface EngineCommand {
  /** Runs it. @returns how it ended, failed or not. */
  run(call: EngineCall): Promise<RunResult>;
  /** Runs it. @returns what it wrote to standard output. Throws what the failure means. */
  output(call: EngineCall): Promise<string>;
  /** @returns the error for a run that failed. */
  failure(call: EngineCall, result: RunResult): DewyError;
}

/** The description of a container is a few kilobytes; of a thousand containers, a few megabytes. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** What would be taken for a socket or a supervisor of the engine's own. */
const NOT_INHERITED = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"];

/**
 * Makes the runner of an engine's program.
 *
 * @param options the program and its surroundings.
 * @returns the runner. All it throws is a DewyError; a program that cannot be run or does not answer is retryable.
 */
export function engineCommand(options: EngineCommandOptions): EngineCommand {
  const { program, cwd } = options;
  const env = { ...options.env };
  for (const name of NOT_INHERITED) delete env[name];

  async function start(call: EngineCall): Promise<RunResult> {
    try {
      return await run({
        command: call.mergesErrors
          ? ["/bin/sh", "-c", 'exec "$0" "$@" 2>&1', program, ...call.args]
          : [program, ...call.args],
        cwd,
        env: { ...env, ...call.env },
        timeoutMs: call.timeoutMs,
        signal: call.signal,
        keptBytes: KEPT_BYTES,
        ...(call.onLine === undefined ? {} : { onLine: call.onLine }),
      });
    } catch (error) {
      throw error instanceof DewyError && hasCode(error.cause, "ENOENT")
        ? notInstalled(program, error)
        : error;
    }
  }

  function failure(call: EngineCall, result: RunResult): DewyError {
    if (result.timedOut) {
      return new HostError(
        `Cannot ${call.action}: ${program} did not answer within ${call.timeoutMs / 1000} s; is it, or the disk, overloaded?`,
      );
    }
    const failed: FailedCommand = {
      program,
      action: call.action,
      exitCode: result.exitCode,
      said: result.stderr.trim() || result.stdout.trim(),
      spec: call.spec,
    };
    return engineFailure(failed);
  }

  return {
    run: start,
    failure,
    async output(call) {
      const result = await start(call);
      if (result.exitCode !== 0 || result.timedOut) throw failure(call, result);
      return result.stdout;
    },
  };
}

function notInstalled(program: string, cause: DewyError): HostError {
  const other = program === "docker" ? "podman" : "docker";
  return new HostError(
    `Cannot run ${program}: it is not installed, or not in PATH; install it, or choose --runtime ${other}`,
    { cause },
  );
}
