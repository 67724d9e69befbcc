import type { HookResult } from "../../core/event.ts";
import type { Redact } from "../../core/secret.ts";
import type { HookVariables, RunHook } from "../../deploy/deployer.ts";
import { run } from "./run.ts";

export interface HookOptions {
  /** A shell command; empty for none. */
  before: string;
  /** A shell command; empty for none. */
  after: string;
  timeoutMs: number;
  cwd: string;
  env: Readonly<Record<string, string | undefined>>;
  redact: Redact;
}

/**
 * Creates the runner of the two hooks. A hook is run with `/bin/sh -c` in dewy's environment plus the `DEWY_*` variables.
 * Secrets are masked in the result.
 */
export function createHooks(options: HookOptions): RunHook {
  return async (when, variables, signal) => {
    const command = options[when];
    return command === "" ? undefined : runOne(when, command, variables, options, signal);
  };
}

async function runOne(
  when: HookResult["when"],
  command: string,
  variables: HookVariables,
  options: HookOptions,
  signal: AbortSignal,
): Promise<HookResult> {
  const result = await run({
    command: ["/bin/sh", "-c", command],
    cwd: options.cwd,
    env: { ...options.env, ...environment(variables) },
    timeoutMs: options.timeoutMs,
    signal,
  });
  const clean = (text: string): string => options.redact(text).trim();
  return {
    when,
    command: options.redact(command),
    exitCode: result.exitCode,
    stdout: clean(result.stdout),
    stderr: clean(result.stderr),
    durationMs: result.durationMs,
    timedOut: result.timedOut,
  };
}

function environment(variables: HookVariables): Record<string, string> {
  return {
    DEWY_TAG: variables.tag,
    DEWY_PREVIOUS_TAG: variables.previousTag ?? "",
    DEWY_RELEASE_DIR: variables.releaseDirectory,
    DEWY_COMMAND: variables.command,
  };
}
