import type { Context } from "../../core/context.ts";
import { VerificationError } from "../../core/error.ts";
import type { ImageEvidence, Proof } from "../../core/proof.ts";
import { TimeoutError, withDeadline } from "../../core/timeout.ts";
import type { Artifact } from "../../core/types.ts";
import type { Candidate } from "../../deploy/deployer.ts";
import type { Gate } from "../../verify/gate.ts";
import { imageSubject } from "../../verify/image_subject.ts";

export interface ImageVerification {
  gate: Gate;
  /** Finds what the registry has beside an image; absent if the registry has none for images. */
  evidenceOf: ((image: Artifact) => ImageEvidence) | undefined;
}

/** A registry that drips must not hold up the deploys. */
const VERIFY_TIMEOUT_MS = 5 * 60_000;
const NO_EVIDENCE: ImageEvidence = { digests: async () => [], async *signatures() {} };

/** @throws {VerificationError} If the policy does not hold for the image. */
export async function verifyImage(
  { release: { tag }, artifact }: Candidate,
  { gate, evidenceOf }: ImageVerification,
  { clock, emit }: Pick<Context, "clock" | "emit">,
  signal: AbortSignal,
): Promise<readonly Proof[]> {
  const { name } = artifact;
  const subject = imageSubject(tag, artifact, evidenceOf?.(artifact) ?? NO_EVIDENCE);
  try {
    const proofs = await withDeadline(clock, VERIFY_TIMEOUT_MS, signal, (either) =>
      gate.verify(subject, either),
    );
    if (proofs.length > 0) emit({ type: "verified", tag, artifact: name, proofs });
    return proofs;
  } catch (cause) {
    if (!(cause instanceof TimeoutError)) throw cause;
    throw new VerificationError(
      `Cannot verify "${name}" of ${tag}: ${cause.message}; the registry or the network is slow`,
      { cause },
    );
  }
}
