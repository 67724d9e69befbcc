import { type CommonConfig, readCommon, readRegistry } from "./common.ts";
import type { ParsedArgv } from "./parse.ts";
import { duration, text } from "./values.ts";

/** What all commands that deploy are told. */
export interface DeployConfig extends CommonConfig {
  /** Milliseconds between polls. The default is 10 seconds. */
  intervalMs: number;
  /** Deploy what is there and end. */
  once: boolean;
  /** The shell command before activation. */
  beforeDeployHook: string | undefined;
  /** The shell command after activation. */
  afterDeployHook: string | undefined;
  /** How long a hook may run, in milliseconds. The default is 10 minutes. */
  hookTimeoutMs: number;
  /** The notifier's URL. */
  notifier: string | undefined;
  /** Forget which versions are bad. */
  retryBad: boolean;
  /** Tags whose bytes may be others than before, once. */
  acceptChanged: readonly string[];
}

/**
 * Reads the flags that all commands that deploy have.
 *
 * @param argv the command line.
 * @returns what was read.
 * @throws ConfigError that names the flag.
 */
export function readDeploying(argv: ParsedArgv): DeployConfig {
  return {
    ...readCommon(argv, readRegistry(argv)),
    intervalMs: duration(argv, "interval", 1000),
    once: argv.flag("once"),
    beforeDeployHook: text(argv, "before-deploy-hook"),
    afterDeployHook: text(argv, "after-deploy-hook"),
    hookTimeoutMs: duration(argv, "hook-timeout", 1),
    notifier: text(argv, "notifier"),
    retryBad: argv.flag("retry-bad"),
    acceptChanged: argv.texts("accept-changed").filter((tag) => tag !== ""),
  };
}
