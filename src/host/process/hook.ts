import type { HookResult } from "../../core/event.ts";
import type { Redact } from "../../core/secret.ts";
import type { HookContext, RunHook } from "../../deploy/deployer.ts";
import { run } from "./run.ts";

/** The hooks of a command. */
export interface HookOptions {
  /** A shell command; empty: none. */
  before: string;
  /** A shell command; empty: none. */
  after: string;
  /** How long each may run, in milliseconds. */
  timeoutMs: number;
  /** Where they run. */
  cwd: string;
  /** dewy's own environment. */
  env: Readonly<Record<string, string | undefined>>;
  /** Masks secrets in what they print. */
  redact: Redact;
}

/**
 * Makes the runner of the two hooks: `/bin/sh -c`, dewy's environment and the `DEWY_*` variables. Secrets are masked
 * in the result.
 *
 * @param options the commands and their limits.
 * @returns a function that runs one of them.
 */
export function createHooks(options: HookOptions): RunHook {
  return async (when, context, signal) => {
    const command = options[when];
    return command === "" ? undefined : runOne(when, command, context, options, signal);
  };
}

async function runOne(
  when: HookResult["when"],
  command: string,
  context: HookContext,
  options: HookOptions,
  signal: AbortSignal,
): Promise<HookResult> {
  const result = await run({
    command: ["/bin/sh", "-c", command],
    cwd: options.cwd,
    env: { ...options.env, ...variables(context) },
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

function variables(context: HookContext): Record<string, string> {
  return {
    DEWY_TAG: context.tag,
    DEWY_PREVIOUS_TAG: context.previousTag ?? "",
    DEWY_RELEASE_DIR: context.releaseDirectory,
    DEWY_COMMAND: context.command,
  };
}
