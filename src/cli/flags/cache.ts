import { ConfigError } from "../../core/error.ts";
import { readLog } from "./common.ts";
import type { ParsedArgv } from "./parse.ts";
import { longDuration, rejectProgram, text, unexpected } from "./values.ts";

export type PruneConfig = ReturnType<typeof readPrune>;

export function readPrune(argv: ParsedArgv) {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], argv.command);
  rejectProgram(argv);
  const cache = text(argv, "cache");
  if (cache === undefined) {
    throw new ConfigError(
      "--cache is not set; for example: dewy cache prune --cache s3://eu-west-1/bucket/app",
    );
  }
  return {
    command: "cache prune" as const,
    ...readLog(argv),
    caFile: text(argv, "ca-file"),
    cache,
    artifactsMs: longDuration(argv, "older-than"),
    dryRun: argv.flag("dry-run"),
  };
}
