import { type CommonConfig, readCommon, readRegistry } from "./common_config.ts";
import { bytes, duration, rejectProgram, text, textOr, unexpected } from "./config_values.ts";
import type { ParsedArgv } from "./parse_argv.ts";

/** What `dewy assets` is told. */
export interface AssetsConfig extends CommonConfig {
  command: "assets";
  /** The directory that holds `releases/` and `current`; relative to the working directory. The default is `.`. */
  directory: string;
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
  /** The largest artifact, in bytes. The default is 2 GiB. */
  maxArtifactSize: number;
  /** The largest extracted artifact, in bytes. The default is 8 GiB. */
  maxExpandedSize: number;
  /** Forget which versions are bad. */
  retryBad: boolean;
}

/**
 * Reads the command line of `dewy assets`.
 *
 * @param argv the command line.
 * @returns what the command is told.
 * @throws ConfigError that names the flag.
 */
export function readAssets(argv: ParsedArgv): AssetsConfig {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], "assets");
  rejectProgram(argv);
  return { command: "assets", ...readDeploying(argv), directory: textOr(argv, "directory") };
}

/**
 * Reads the flags that all commands that deploy have, but for the directory.
 *
 * @param argv the command line.
 * @returns what was read.
 * @throws ConfigError that names the flag.
 */
export function readDeploying(argv: ParsedArgv): Omit<AssetsConfig, "command" | "directory"> {
  return {
    ...readCommon(argv, readRegistry(argv)),
    intervalMs: duration(argv, "interval", 1000),
    once: argv.flag("once"),
    beforeDeployHook: text(argv, "before-deploy-hook"),
    afterDeployHook: text(argv, "after-deploy-hook"),
    hookTimeoutMs: duration(argv, "hook-timeout", 1),
    notifier: text(argv, "notifier"),
    maxArtifactSize: bytes(argv, "max-artifact-size"),
    maxExpandedSize: bytes(argv, "max-expanded-size"),
    retryBad: argv.flag("retry-bad"),
  };
}
