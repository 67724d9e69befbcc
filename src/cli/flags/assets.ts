import { type DeployConfig, readDeploying } from "./deploy.ts";
import type { ParsedArgv } from "./parse.ts";
import { bytes, rejectProgram, textOr, unexpected } from "./values.ts";

/** What the commands that download artifacts are told. */
export interface FetchConfig extends DeployConfig {
  /** The directory that holds `releases/` and `current`; relative to the working directory. The default is `.`. */
  directory: string;
  /** The largest artifact, in bytes. The default is 2 GiB. */
  maxArtifactSize: number;
  /** The largest extracted artifact, in bytes. The default is 8 GiB. */
  maxExpandedSize: number;
}

/** What `dewy assets` is told. */
export interface AssetsConfig extends FetchConfig {
  command: "assets";
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
  return { command: "assets", ...readFetching(argv) };
}

/**
 * Reads the flags of the commands that download artifacts.
 *
 * @param argv the command line.
 * @returns what was read.
 * @throws ConfigError that names the flag.
 */
export function readFetching(argv: ParsedArgv): FetchConfig {
  return {
    ...readDeploying(argv),
    directory: textOr(argv, "directory"),
    maxArtifactSize: bytes(argv, "max-artifact-size"),
    maxExpandedSize: bytes(argv, "max-expanded-size"),
  };
}
