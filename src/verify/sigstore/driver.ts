import type { Proof } from "../../core/proof.ts";
import { BundleError } from "../sigstore_bundle/bundle.ts";
import { bundlesOf } from "../sigstore_bundle/find.ts";
import { logProof, proveByBundle, type Rule } from "../sigstore_bundle/prove.ts";
import type { Subject, VerifierDriver, VerifyContext } from "../types.ts";
import { parseIdentityRule } from "./identity.ts";
import { type Signed, verifyKeyless } from "./keyless.ts";

export const sigstore: VerifierDriver = {
  kind: "sigstore",
  syntax: "sigstore=IDENTITY,ISSUER",
  description:
    "A Sigstore bundle of this signer: a workflow, with or without @ref, or a glob, and the issuer of its token",
  open(value, context) {
    const rule = ruleFor(parseIdentityRule(value).problem);
    return {
      kind: "sigstore",
      verify: (subject, signal) => proveByBundle(rule, subject, context, signal),
    };
  },
  async offered(subject, context, signal) {
    if (!(await isOffered(subject, context, signal))) return [];
    return [
      await proveByBundle(
        ruleFor(() => undefined),
        subject,
        context,
        signal,
      ),
    ];
  },
};

function ruleFor(problemOf: (signer: Signed["identity"]) => string | undefined): Rule {
  return {
    kind: "sigstore",
    signWith: "--yes",
    async check(bundle, { file }, root) {
      const signed = await verifyKeyless(bundle, file, root);
      if (signed.identity.issuer === "") {
        throw new BundleError("its certificate does not say who has issued the token");
      }
      const problem = problemOf(signed.identity);
      if (problem !== undefined) throw new BundleError(problem);
      return proofOf(signed);
    },
  };
}

function proofOf({ identity, signedAt, entries }: Signed): Omit<Proof, "kind" | "evidence"> {
  return { ...logProof(entries), identity, signedAt: signedAt.toISOString() };
}

/** Whether any bundle is signed with a certificate. */
async function isOffered(
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): Promise<boolean> {
  for await (const { parse } of bundlesOf(subject, context, signal)) {
    const bundle = await parse().catch(() => undefined);
    if (bundle?.signer.kind === "certificate") return true;
  }
  return false;
}
