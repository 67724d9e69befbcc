import type { Environment } from "../../core/environment.ts";
import { DewyError, HostError } from "../../core/error.ts";
import { hasCode } from "../../host/files/file_error.ts";
import { type RunResult, run } from "../../host/process/run.ts";
import type { ContainerSpec, EngineName } from "./engine.ts";
import { engineFailure } from "./failure.ts";

export interface EngineCommandOptions {
  /** `docker` or `podman`, searched in `PATH`. */
  program: EngineName;
  /** dewy's environment: `-e NAME` takes values from it. */
  env: Environment;
  /** The base of relative paths in the operator's options. */
  cwd: string;
}

/** One run of an engine's program. */
export interface EngineCall {
  /** Must not contain secrets: other users can read them. */
  args: readonly string[];
  /** For errors, such as `start app-1-0`. */
  action: string;
  timeoutMs: number;
  signal: AbortSignal;
  /** Variables in addition to dewy's own. */
  env?: Readonly<Record<string, string>>;
  /** Receives lines of the output as they are printed. */
  onLine?: (line: string) => void;
  /** Merges standard error into standard output. */
  mergesErrors?: boolean;
  /** The container that is created or started; it decides whose fault a failure is. */
  spec?: ContainerSpec;
}

export interface EngineCommand {
  /** Returns the result whatever the exit code. */
  run(call: EngineCall): Promise<RunResult>;
  /** Returns the standard output, and throws {@link EngineCommand.failure} if the program fails. */
  output(call: EngineCall): Promise<string>;
  failure(call: EngineCall, result: RunResult): DewyError;
}

/** Inspecting one container prints a few kilobytes, a thousand of them a few megabytes. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** Variables that the engine would take for its own sockets or supervisor. */
const NOT_INHERITED = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"];

/** All errors are DewyErrors. A program that cannot be run or times out is retryable. */
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
        onLine: call.onLine,
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
        `Cannot ${call.action}: ${program} did not finish within ${call.timeoutMs / 1000} s; is it, or the disk, overloaded?`,
      );
    }
    return engineFailure({
      program,
      action: call.action,
      exitCode: result.exitCode,
      output: result.stderr.trim() || result.stdout.trim(),
      spec: call.spec,
    });
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

function notInstalled(program: EngineName, cause: DewyError): HostError {
  const other = program === "docker" ? "podman" : "docker";
  return new HostError(
    `Cannot run ${program}: it is not installed, or not in PATH; install it, or choose --runtime ${other}`,
    { cause },
  );
}
