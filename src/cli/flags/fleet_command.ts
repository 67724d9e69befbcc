import { ConfigError } from "../../core/error.ts";
import { exampleOf, readLog } from "./common.ts";
import { readMessage } from "./local.ts";
import type { ParsedArgv } from "./parse.ts";
import { duration, rejectProgram, text, unexpected } from "./values.ts";

export type FleetConfig = ReturnType<typeof readFleetCommand>;
export type FleetCommandName = "fleet status" | "fleet resume" | "fleet abort";

export function readFleetCommand(command: FleetCommandName, argv: ParsedArgv) {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], argv.command);
  rejectProgram(argv);
  return {
    command,
    ...readLog(argv),
    caFile: text(argv, "ca-file"),
    cache: required(argv, "cache"),
    fleet: required(argv, "fleet"),
    /** Defaults to that of the rollout. */
    memberTtlMs:
      text(argv, "member-ttl") !== undefined ? duration(argv, "member-ttl", 1000) : undefined,
    message: command === "fleet status" ? undefined : readMessage(argv),
    json: argv.flag("json"),
  };
}

function required(argv: ParsedArgv, name: string): string {
  const value = text(argv, name);
  if (value !== undefined) return value;
  throw new ConfigError(`--${name} is not set; for example: ${exampleOf(argv.command)}`);
}
