import type { CommandContext } from "../../agent/context.ts";
import { openConfigured } from "../../agent/open_configured.ts";
import { formatBytes } from "../../core/bytes.ts";
import { ConfigError } from "../../core/error.ts";
import type { Proof } from "../../core/proof.ts";
import type { Subject } from "../../verify/types.ts";
import type { VerifyConfig, VerifyFileConfig, VerifyRegistryConfig } from "../flags/verify.ts";
import { terminalStyle } from "../terminal.ts";
import { NOT_READY, writeResolution } from "./check.ts";
import { addEvidence, localSubject } from "./local_subject.ts";
import { proofJson, proofsText } from "./proved.ts";
import { openProver, type Prover } from "./prover.ts";
import { textTable } from "./text_table.ts";
import { withDownload } from "./with_download.ts";

/** Verifies what a deploy with the same flags would verify, and shows what was proved. */
export async function runVerify(config: VerifyConfig, context: CommandContext): Promise<number> {
  if (config.verify.includes("none")) {
    throw new ConfigError("Cannot use --verify none with dewy verify: it verifies nothing");
  }
  const prover = await openProver(config, context);
  return "registry" in config
    ? verifyVersion(config, prover, context)
    : verifyFile(config, prover, context);
}

async function verifyFile(
  config: VerifyFileConfig,
  prover: Prover,
  context: CommandContext,
): Promise<number> {
  return proveAndReport(await localSubject(config.file, context), config, prover, context);
}

async function verifyVersion(
  config: VerifyRegistryConfig,
  prover: Prover,
  context: CommandContext,
): Promise<number> {
  const { tag } = config;
  const registry = await openConfigured(config, context);
  const resolution = await registry.resolve({ tag, signal: context.signals.stop });
  if (resolution.kind !== "ready") {
    writeResolution({ resolution }, config, context);
    return NOT_READY;
  }
  return withDownload(resolution, { registry, config }, context, (subject) =>
    proveAndReport(subject, config, prover, context),
  );
}

async function proveAndReport(
  found: Subject,
  { evidence, json, ...config }: VerifyConfig,
  prover: Prover,
  context: CommandContext,
): Promise<number> {
  const { stdout, env } = context;
  const subject = await addEvidence(found, evidence, context);
  const proofs = await prover.prove(subject);
  const tag = "registry" in config ? subject.tag : undefined;
  stdout.write(
    json
      ? `${JSON.stringify(verifiedJson(subject, tag, proofs))}\n`
      : `${subjectText(subject, tag)}\n${proofsText(proofs, terminalStyle(stdout, env))}`,
  );
  return 0;
}

function verifiedJson(
  { name, sha256, size }: Subject,
  tag: string | undefined,
  proofs: readonly Proof[],
) {
  return {
    kind: "verified",
    tag: tag ?? null,
    artifact: name,
    digest: `sha256:${sha256}`,
    size: size ?? null,
    proofs: proofs.map(proofJson),
  };
}

function subjectText({ name, sha256, size }: Subject, tag: string | undefined): string {
  return textTable([
    ["verified", tag ?? name],
    ...(tag === undefined ? [] : [["artifact", name]]),
    ...(size === undefined ? [] : [["size", formatBytes(size)]]),
    ["digest", `sha256:${sha256}`],
  ]);
}
