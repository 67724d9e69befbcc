import { ConfigError } from "../../core/error.ts";
import { readPlatform } from "./ask.ts";
import { readCommon, readLog, readRegistry } from "./common.ts";
import type { ParsedArgv } from "./parse.ts";
import { bytes, rejectProgram, text } from "./values.ts";

/** A version in a registry, or a file of this machine, which may be known by its digest only. */
export type VerifyConfig = ReturnType<typeof readVerify>;
export type VerifyFileConfig = Exclude<VerifyConfig, { registry: string }>;
export type VerifyRegistryConfig = Extract<VerifyConfig, { registry: string }>;

export function readVerify(argv: ParsedArgv) {
  rejectProgram(argv);
  const target = readRegistry(argv);
  const asked = {
    command: "verify" as const,
    verify: argv.texts("verify"),
    trustedRoot: text(argv, "trusted-root"),
    evidence: argv.texts("evidence").filter((path) => path !== ""),
    json: argv.flag("json"),
  };
  const ofRegistry = {
    tag: text(argv, "tag"),
    platform: readPlatform(argv),
    maxArtifactSize: bytes(argv, "max-artifact-size"),
  };
  if (target.includes("://")) return { ...asked, ...readCommon(argv, target), ...ofRegistry };
  const flag = ["tag", "platform", "slot", "calver"].find((name) => argv.text(name) !== "");
  if (flag !== undefined) {
    throw new ConfigError(
      `Cannot use --${flag} with the file "${target}": only a registry has versions to choose from`,
    );
  }
  return { ...asked, ...readLog(argv), caFile: text(argv, "ca-file"), file: target };
}
