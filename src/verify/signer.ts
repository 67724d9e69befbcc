import type { Proof, VerifyKind } from "../core/proof.ts";

/** A signer by its key, or by workflow and issuer, without the ref: the next tag of a workflow has the same signer. */
export interface Signer {
  kind: VerifyKind;
  /** `IDENTITY,ISSUER`, as `--verify sigstore=` takes it, or a key. */
  signer: string;
}

export function signersOf(proofs: readonly Proof[]): readonly Signer[] {
  const found: Signer[] = [];
  for (const proof of proofs) {
    const signer = signerOf(proof);
    if (signer === undefined || isIn(found, { kind: proof.kind, signer })) continue;
    found.push({ kind: proof.kind, signer });
  }
  return found;
}

/** The first of the required signers that is not among the others. */
export function missingSigner(
  required: readonly Signer[],
  others: readonly Signer[],
): Signer | undefined {
  return required.find((one) => !isIn(others, one));
}

function isIn(signers: readonly Signer[], one: Signer): boolean {
  return signers.some(({ kind, signer }) => kind === one.kind && signer === one.signer);
}

function signerOf({ identity, signer }: Proof): string | undefined {
  if (identity === undefined) return signer;
  const { issuer, repository } = identity;
  const subject = identity.subject.replace(/@refs\/.*$/s, "");
  // A reusable workflow signs for other repositories than its own.
  const isOwn = repository === undefined || subject.startsWith(`${repository}/`);
  return `${subject},${issuer}${isOwn ? "" : ` for ${repository}`}`;
}
