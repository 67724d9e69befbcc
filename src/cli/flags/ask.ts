import { ConfigError } from "../../core/error.ts";
import type { Platform } from "../../core/types.ts";
import { readCommon, readRegistry } from "./common.ts";
import type { ParsedArgv } from "./parse.ts";
import { bytes, duration, rejectProgram, text } from "./values.ts";

export type AskConfig = ReturnType<typeof readAsk>;

export function readAsk(command: "check" | "explain", argv: ParsedArgv) {
  rejectProgram(argv);
  return {
    command,
    ...readCommon(argv, readRegistry(argv)),
    platform: readPlatform(argv),
    minAgeMs: duration(argv, "min-age", 0),
    windows: command === "explain" ? argv.texts("window").filter((times) => times !== "") : [],
    trustedRoot: text(argv, "trusted-root"),
    maxArtifactSize: bytes(argv, "max-artifact-size"),
    json: argv.flag("json"),
  };
}

export function readPlatform(argv: ParsedArgv): Platform | undefined {
  const value = text(argv, "platform");
  if (value === undefined) return undefined;
  const [os, arch, variant, ...more] = value.split("/");
  if (!os || !arch || more.length > 0) {
    throw new ConfigError(
      `Invalid value for --platform "${value}": expected <os>/<arch>, such as linux/arm64`,
    );
  }
  return { os, arch, variant: variant || undefined };
}
