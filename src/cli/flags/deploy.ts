import { type CommonConfig, readCommon, readRegistry } from "./common.ts";
import type { ParsedArgv } from "./parse.ts";
import { duration, text } from "./values.ts";

/** The configuration of all commands that deploy. */
export interface DeployConfig extends CommonConfig {
  /** Milliseconds between polls. Defaults to 10 seconds. */
  intervalMs: number;
  /** Deploy the current version, then stop polling. */
  once: boolean;
  beforeDeployHook: string | undefined;
  afterDeployHook: string | undefined;
  /** Milliseconds. Defaults to 10 minutes. */
  hookTimeoutMs: number;
  /** The notifier's URL. */
  notifier: string | undefined;
  retryBad: boolean;
  /** Tags whose bytes may differ from those staged before, once. */
  acceptChanged: readonly string[];
}

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
