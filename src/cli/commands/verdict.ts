import type { CommandContext } from "../../agent/context.ts";
import { IntegrityError, VerificationError } from "../../core/error.ts";
import type { Proof } from "../../core/proof.ts";
import type { Registry, Resolution } from "../../core/types.ts";
import type { AskConfig } from "../flags/ask.ts";
import { proofJson, proofLine } from "./proved.ts";
import { NothingOfferedError, openProver } from "./prover.ts";
import { withDownload } from "./with_download.ts";

/** What `--verify` says about a version, for `check` and `explain`. */
export interface Verdict {
  /** Whether a signature is missing that `--verify` names, or one is wrong. */
  isRefused: boolean;
  rows: readonly [name: string, value: string][];
  json: object;
}

/** Downloads the version and verifies it as a first deploy with the same flags would. */
export async function judge(
  resolution: Resolution,
  registry: Registry,
  config: AskConfig,
  context: CommandContext,
): Promise<Verdict | undefined> {
  if (config.verify.includes("none")) return undefined;
  const prover = await openProver(config, context);
  if (resolution.kind !== "ready") return undefined;
  try {
    const source = { registry, config };
    return verified(await withDownload(resolution, source, context, prover.prove));
  } catch (error) {
    // Without a policy, nothing is refused before a signer is known.
    if (error instanceof NothingOfferedError) return unsigned();
    const isRefused = error instanceof VerificationError || error instanceof IntegrityError;
    if (isRefused) return unverified(error.message);
    throw error;
  }
}

function verified(proofs: readonly Proof[]): Verdict {
  return {
    isRefused: false,
    rows: proofs.map((proof) => ["verified", proofLine(proof)]),
    json: { verdict: "verified", proofs: proofs.map(proofJson), reason: null },
  };
}

function unsigned(): Verdict {
  const reason = "the release has no signature that auto verifies";
  return {
    isRefused: false,
    rows: [["unsigned", reason]],
    json: { verdict: "unsigned", proofs: [], reason },
  };
}

function unverified(reason: string): Verdict {
  return {
    isRefused: true,
    rows: [["unverified", reason]],
    json: { verdict: "unverified", proofs: [], reason },
  };
}
