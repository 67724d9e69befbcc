import type { CommandContext } from "../../agent/context.ts";
import { loadVerifiers } from "../../agent/verification.ts";
import { VerificationError } from "../../core/error.ts";
import type { Proof } from "../../core/proof.ts";
import { type Offer, offersOf, openGate } from "../../verify/gate.ts";
import { parsePolicy } from "../../verify/policy.ts";
import type { Subject } from "../../verify/types.ts";

interface Config {
  /** Absent for files. */
  registry?: string;
  verify: readonly string[];
  trustedRoot: string | undefined;
}

export interface Prover {
  /**
   * Returns at least one proof. Without named signers, everything that is offered is verified, of any signer.
   *
   * @throws {VerificationError} If the policy does not hold or, without one, if nothing is offered or an offer is wrong.
   */
  prove(subject: Subject): Promise<readonly Proof[]>;
}

/** Opens a policy for questions: it remembers no signer, and blocks nothing. */
export async function openProver(
  { registry, verify, trustedRoot }: Config,
  context: CommandContext,
): Promise<Prover> {
  const policy = parsePolicy(verify);
  const { stop } = context.signals;
  const { drivers, context: host } = await loadVerifiers(registry, { trustedRoot }, context);
  if (policy.mode === "rules") {
    const gate = openGate(policy, drivers, host);
    return { prove: (subject) => gate.verify(subject, stop) };
  }
  return {
    async prove(subject) {
      return requireProofs(await offersOf(drivers, subject, host, stop), subject);
    },
  };
}

function requireProofs(offers: readonly Offer[], { name, tag }: Subject): readonly Proof[] {
  const proofs = offers.flatMap((offer) => offer.proofs);
  const wrong = offers.find(({ error, isUnanswered }) => error !== undefined && !isUnanswered);
  const unanswered = offers.find(({ isUnanswered }) => isUnanswered);
  const problem = wrong ?? (proofs.length === 0 ? unanswered : undefined);
  if (problem?.error !== undefined) throw problem.error;
  if (proofs.length > 0) return proofs;
  throw new NothingOfferedError(
    `Cannot verify "${name}" of ${tag}: it has no Sigstore bundle, no attestation and no SSH signature, which need no key; name what it has with --verify, or sign it in CI`,
  );
}

/** A release without any signature that `auto` finds. */
export class NothingOfferedError extends VerificationError {}
