import type { Environment } from "../../core/environment.ts";
import { DewyError, HostError } from "../../core/error.ts";
import { hasCode } from "../../host/files/file_error.ts";
import { type RunResult, run } from "../../host/process/run.ts";
import type { ContainerSpec, EngineName } from "./engine.ts";
import { engineFailure } from "./failure.ts";

export interface EngineCall {
  /** Must not contain secrets: other users can read them. */
  args: readonly string[];
  /** For errors, such as `start app-1-0`. */
  action: string;
  timeoutMs: number;
  signal: AbortSignal;
  /** Variables in addition to dewy's own. */
  env?: Readonly<Record<string, string>>;
  onLine?: (line: string) => void;
  /** At least this many bytes from the end of the output are kept. Defaults to 32 MiB. */
  keptBytes?: number;
  /** Sends standard error to standard output. */
  mergesErrors?: boolean;
  /** The container that is created or started; it decides whose fault a failure is. */
  spec?: ContainerSpec;
}

/** Inspecting one container prints a few kilobytes, a thousand of them a few megabytes. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** Variables that the engine would take for its own sockets or supervisor. */
const NOT_INHERITED = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"];

/** Runs an engine's program. All errors are DewyErrors; a timeout is retryable. */
export class EngineCommand {
  readonly #program: EngineName;
  readonly #env: Environment;
  readonly #cwd: string;

  /** `-e NAME` takes values from `env`, and relative paths in the operator's options start at `cwd`. */
  constructor(program: EngineName, env: Environment, cwd: string) {
    this.#program = program;
    const passed = Object.entries(env).filter(([name]) => !NOT_INHERITED.includes(name));
    this.#env = Object.fromEntries(passed);
    this.#cwd = cwd;
  }

  /** Returns the result whatever the exit code. */
  async run(call: EngineCall): Promise<RunResult> {
    const { args, env, timeoutMs, signal, onLine, mergesErrors, keptBytes = KEPT_BYTES } = call;
    const program = this.#program;
    try {
      return await run({
        command: mergesErrors
          ? ["/bin/sh", "-c", 'exec "$0" "$@" 2>&1', program, ...args]
          : [program, ...args],
        cwd: this.#cwd,
        env: { ...this.#env, ...env },
        timeoutMs,
        signal,
        keptBytes,
        onLine,
      });
    } catch (error) {
      if (!(error instanceof DewyError) || !hasCode(error.cause, "ENOENT")) throw error;
      const other = program === "docker" ? "podman" : "docker";
      throw new HostError(
        `Cannot run ${program}: it is not installed, or not in PATH; install it, or choose --runtime ${other}`,
        { cause: error },
      );
    }
  }

  /** Returns the standard output, and throws {@link EngineCommand.failure} if the program fails. */
  async output(call: EngineCall): Promise<string> {
    const result = await this.run(call);
    if (result.exitCode !== 0 || result.timedOut) throw this.failure(call, result);
    return result.stdout;
  }

  failure({ action, timeoutMs, spec }: EngineCall, result: RunResult): DewyError {
    const program = this.#program;
    if (result.timedOut) {
      return new HostError(
        `Cannot ${action}: ${program} did not finish within ${timeoutMs / 1000} s; is it, or the disk, overloaded?`,
      );
    }
    const output = result.stderr.trim() || result.stdout.trim();
    return engineFailure({ program, action, exitCode: result.exitCode, output, spec });
  }
}
