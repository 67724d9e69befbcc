import { type DeployConfig, readDeploying } from "./deploy.ts";
import type { ParsedArgv } from "./parse.ts";
import { bytes, rejectProgram, textOr, unexpected } from "./values.ts";

/** The configuration of the commands that download artifacts. */
export interface FetchConfig extends DeployConfig {
  /** Holds `releases/` and `current`; relative to the working directory. Defaults to `.`. */
  directory: string;
  /** Bytes. Defaults to 2 GiB. */
  maxArtifactSize: number;
  /** Bytes after extraction. Defaults to 8 GiB. */
  maxExpandedSize: number;
}

export interface AssetsConfig extends FetchConfig {
  command: "assets";
}

export function readAssets(argv: ParsedArgv): AssetsConfig {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], "assets");
  rejectProgram(argv);
  return { command: "assets", ...readFetching(argv) };
}

export function readFetching(argv: ParsedArgv): FetchConfig {
  return {
    ...readDeploying(argv),
    directory: textOr(argv, "directory"),
    maxArtifactSize: bytes(argv, "max-artifact-size"),
    maxExpandedSize: bytes(argv, "max-expanded-size"),
  };
}
