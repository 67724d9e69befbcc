import { type LogConfig, readLog } from "../../cli/flags/common.ts";
import type { ParsedArgv } from "../../cli/flags/parse.ts";
import {
  choiceOr,
  numericDefault,
  port,
  rejectProgram,
  unexpected,
} from "../../cli/flags/values.ts";
import type { EngineName } from "../engine/engine.ts";

/** The options of `dewy container list`. */
export interface ContainerListConfig extends LogConfig {
  command: "container list";
  /** The first of the ten ports to try. */
  adminPort: number;
  /** The engine to query if no dewy answers. */
  engine: EngineName;
  json: boolean;
}

export function readContainerList(argv: ParsedArgv): ContainerListConfig {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], argv.command);
  rejectProgram(argv);
  return {
    command: "container list",
    ...readLog(argv),
    adminPort: port(argv, "admin-port", 1) ?? numericDefault(argv, "admin-port"),
    engine: choiceOr(argv, "runtime", ["docker", "podman"]),
    json: argv.flag("json"),
  };
}
