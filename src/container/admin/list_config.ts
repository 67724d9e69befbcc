import { type LogConfig, readLog } from "../../cli/flags/common.ts";
import type { ParsedArgv } from "../../cli/flags/parse.ts";
import { port, rejectProgram, unexpected } from "../../cli/flags/values.ts";
import { readEngine } from "../config.ts";
import type { EngineName } from "../engine/engine.ts";
import { ADMIN_PORT } from "./server.ts";

/** What `dewy container list` is told. */
export interface ContainerListConfig extends LogConfig {
  command: "container list";
  /** The first of the ten ports to ask for an admin API. The default is 17539. */
  adminPort: number;
  /** The engine to ask where no dewy answers. The default is `docker`. */
  engine: EngineName;
  /** Print JSON. */
  json: boolean;
}

/**
 * Reads the command line of `dewy container list`.
 *
 * @param argv the command line.
 * @returns what the command is told.
 * @throws ConfigError that names the flag.
 */
export function readContainerList(argv: ParsedArgv): ContainerListConfig {
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], argv.command);
  rejectProgram(argv);
  return {
    command: "container list",
    ...readLog(argv),
    adminPort: port(argv, "admin-port", 1) ?? ADMIN_PORT,
    engine: readEngine(argv),
    json: argv.flag("json"),
  };
}
