import type { Platform } from "../../core/types.ts";
import { BINARY } from "../../host/process/own_program.ts";
import { readCommon } from "../flags/common.ts";
import type { ParsedArgv } from "../flags/parse.ts";
import { bytes, rejectProgram, text, textOr, unexpected } from "../flags/values.ts";

/** Where this project publishes dewy, and the repository whose workflows attest its files. */
const PROJECT = "dewy/dewy";
const OWN_REGISTRY = `ghr://${PROJECT}`;

export type UpgradeConfig = ReturnType<typeof readUpgrade>;

export function readUpgrade(argv: ParsedArgv) {
  rejectProgram(argv);
  if (argv.words[0] !== undefined) throw unexpected(argv.words[0], argv.command);
  const registry = textOr(argv, "registry");
  const common = readCommon(argv, registry);
  const isUnset = registry === OWN_REGISTRY && common.verify.length === 0;
  return {
    command: "upgrade" as const,
    ...common,
    verify: isUnset ? [`github=${PROJECT}@release.yml`] : common.verify,
    trustedRoot: text(argv, "trusted-root"),
    maxArtifactSize: bytes(argv, "max-artifact-size"),
    platform: platformOf(BINARY),
    to: text(argv, "to"),
    onlyCheck: argv.flag("check"),
  };
}

/** A musl binary runs on glibc systems, too, and stays one. */
function platformOf(binary: string): Platform | undefined {
  const [os, arch, libc] = binary.split("_");
  if (!os || arch === undefined) return undefined;
  return { os, arch, libc: os === "linux" ? (libc === "musl" ? "musl" : "glibc") : undefined };
}
