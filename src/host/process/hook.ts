import type { Environment } from "../../core/environment.ts";
import type { Redact } from "../../core/secret.ts";
import type { RunHook } from "../../deploy/deployer.ts";
import { run } from "./run.ts";

export interface HookOptions {
  /** A shell command; empty for none, as `after`. */
  before: string;
  after: string;
  timeoutMs: number;
  cwd: string;
  env: Environment;
  redact: Redact;
}

/** A hook runs in dewy's environment plus the `DEWY_*` variables. Secrets are masked in the result. */
export function createHooks({ cwd, env, timeoutMs, redact, ...hooks }: HookOptions): RunHook {
  return async (when, { tag, previousTag, releaseDirectory, command }, signal) => {
    const hook = hooks[when];
    if (hook === "") return undefined;
    const variables = {
      DEWY_TAG: tag,
      DEWY_PREVIOUS_TAG: previousTag ?? "",
      DEWY_RELEASE_DIR: releaseDirectory,
      DEWY_COMMAND: command,
    };
    const result = await run({
      command: ["/bin/sh", "-c", hook],
      cwd,
      env: { ...env, ...variables },
      timeoutMs,
      signal,
    });
    return {
      ...result,
      when,
      command: redact(hook),
      stdout: redact(result.stdout).trim(),
      stderr: redact(result.stderr).trim(),
    };
  };
}
