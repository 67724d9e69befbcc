import { ConfigError } from "../../core/error.ts";
import type { Platform } from "../../core/types.ts";
import { type CommonConfig, readCommon, readRegistry } from "./common.ts";
import type { ParsedArgv } from "./parse.ts";
import { rejectProgram, text } from "./values.ts";

/** What `dewy check` and `dewy explain` are told. */
export interface AskConfig extends CommonConfig {
  command: "check" | "explain";
  /** The machine to ask for; `undefined`: this one. */
  platform: Platform | undefined;
  /** Print JSON. */
  json: boolean;
}

/**
 * Reads the command line of `dewy check` or `dewy explain`.
 *
 * @param command which of them.
 * @param argv the command line.
 * @returns what the command is told.
 * @throws ConfigError that names the flag.
 */
export function readAsk(command: "check" | "explain", argv: ParsedArgv): AskConfig {
  rejectProgram(argv);
  return {
    command,
    ...readCommon(argv, readRegistry(argv)),
    platform: platform(argv),
    json: argv.flag("json"),
  };
}

function platform(argv: ParsedArgv): Platform | undefined {
  const value = text(argv, "platform");
  if (value === undefined) return undefined;
  const [os = "", arch = "", variant = "", ...more] = value.split("/");
  if (os === "" || arch === "" || more.length > 0) {
    throw new ConfigError(
      `Cannot use --platform "${value}": expected <os>/<arch>, such as linux/arm64`,
    );
  }
  return { os, arch, ...(variant === "" ? {} : { variant }) };
}
