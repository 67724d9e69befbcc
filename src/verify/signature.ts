import { VerificationError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import type { Proof, VerifyKind } from "../core/proof.ts";
import { type SignaturePair, signaturesOf, unsignedIn } from "./coverage.ts";
import { EvidenceError } from "./signed_file.ts";
import type { Bytes, Subject, VerifyContext } from "./types.ts";
import { inCommand, unproved } from "./unproved.ts";

/** A kind of signature in a file beside the signed file. */
export interface DetachedSignature {
  kind: VerifyKind;
  /** The endings of its files, in order of preference. */
  suffixes: readonly string[];
  /** The command that signs a file in CI. */
  command(file: string): string;
}

/** Verifies one signature. @throws {EvidenceError} */
export type CheckSignature = (
  signature: Bytes,
  pair: SignaturePair,
  signal: AbortSignal,
) => Promise<Pick<Proof, "signer" | "signedAt">>;

export const MAX_SIGNATURE_BYTES = 64 * 1024;
const MAX_SIGNATURES = 8;

/**
 * Returns the proof of the first signature for which the check holds.
 *
 * @throws {VerificationError} If there is none.
 */
export async function proveBySignature(
  { kind, suffixes, command }: DetachedSignature,
  check: CheckSignature,
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): Promise<Proof> {
  if (subject.image !== undefined) throw notForImages(kind, subject);
  const reasons: string[] = [];
  for await (const pair of signaturesOf(subject, context, suffixes, signal)) {
    signal.throwIfAborted();
    if (reasons.length === MAX_SIGNATURES) break;
    const { signature, checksums } = pair;
    try {
      if (checksums?.problem !== undefined) throw new EvidenceError(checksums.problem);
      const bytes = new Uint8Array(await subject.read(signature, MAX_SIGNATURE_BYTES));
      const proved = await check(bytes, pair, signal);
      return { kind, evidence: signature.name, checksums: checksums?.name, ...proved };
    } catch (error) {
      if (!(error instanceof EvidenceError)) throw error;
      const file = checksums?.problem === undefined ? signature : checksums;
      reasons.push(`${file.name}: ${messageOf(error)}`);
    }
  }
  const missing = `the release has no ${suffixes.map((suffix) => `*${suffix}`).join(" or ")} ${unsignedIn(subject)}`;
  throw unproved(kind, subject, { reasons, missing, command: command(inCommand(subject.name)) });
}

export function notForImages(kind: VerifyKind, { name, tag }: Subject): VerificationError {
  return new VerificationError(
    `Cannot verify "${name}" of ${tag} with ${kind}: it is for files, not for images; use sigstore, sigstore-key or github instead`,
    { fault: "operator" },
  );
}
