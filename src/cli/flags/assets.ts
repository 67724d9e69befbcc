import { readDeploying } from "./deploy.ts";
import type { ParsedArgv } from "./parse.ts";
import { bytes, rejectProgram, text, textOr, unexpected } from "./values.ts";

export type FetchConfig = ReturnType<typeof readFetching>;
export type AssetsConfig = ReturnType<typeof readAssets>;

export function readAssets(argv: ParsedArgv) {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], "assets");
  rejectProgram(argv);
  return { command: "assets" as const, ...readFetching(argv) };
}

export function readFetching(argv: ParsedArgv) {
  return {
    ...readDeploying(argv),
    directory: textOr(argv, "directory"),
    /** Defaults to the directory's name. */
    name: text(argv, "name"),
    maxArtifactSize: bytes(argv, "max-artifact-size"),
    maxExpandedSize: bytes(argv, "max-expanded-size"),
  };
}
