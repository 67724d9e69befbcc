import { DewyError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Proof, VerifyKind } from "../../core/proof.ts";
import { unsignedIn } from "../coverage.ts";
import { EvidenceError } from "../signed_file.ts";
import type { Subject, VerifyContext } from "../types.ts";
import { inCommand, type Unproved, unproved } from "../unproved.ts";
import type { Bundle } from "./bundle.ts";
import { bundlesOf, type Candidate } from "./find.ts";
import { type LoggedEntry, UNKNOWN_LOG } from "./log_entry.ts";
import { type TrustedRoot, trustedRoots } from "./trusted_root.ts";

/** Verifies one bundle. Throws a BundleError, or any other error if the bundle is malformed. */
export type Check = (
  bundle: Bundle,
  candidate: Candidate,
  root: TrustedRoot,
) => Promise<Omit<Proof, "kind" | "evidence" | "checksums">>;

export interface Rule {
  kind: VerifyKind;
  check: Check;
  /** The options of cosign that sign as the rule wants it. */
  signWith: string;
}

/**
 * Returns the proof of the first bundle for which the check holds.
 *
 * @throws {VerificationError} If there is none.
 */
export async function proveByBundle(
  rule: Rule,
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): Promise<Proof> {
  const reasons: string[] = [];
  let roots: readonly TrustedRoot[] | undefined;
  for await (const candidate of bundlesOf(subject, context, signal)) {
    signal.throwIfAborted();
    roots ??= await trustedRoots(context, signal);
    const result = await tryBundle(rule, candidate, roots);
    if (typeof result !== "string") return result;
    reasons.push(`${candidate.evidence}: ${result}`);
  }
  throw unproved(rule.kind, subject, { reasons, ...adviceFor(rule, subject) });
}

/** The proof, or the reason why there is none. */
async function tryBundle(
  { kind, check }: Rule,
  candidate: Candidate,
  roots: readonly TrustedRoot[],
): Promise<Proof | string> {
  const { evidence, checksums } = candidate;
  const reasons: string[] = [];
  for (const root of roots) {
    try {
      const proved = await check(await candidate.parse(), candidate, root);
      return { kind, evidence, checksums, ...proved };
    } catch (error) {
      if (error instanceof DewyError) throw error;
      const isReason = error instanceof EvidenceError;
      reasons.push(isReason ? error.message : `it is malformed: ${messageOf(error)}`);
    }
  }
  // The root that knows the log knows better.
  return reasons.find((one) => one !== UNKNOWN_LOG) ?? reasons[0] ?? "there is no trusted root";
}

function adviceFor({ signWith }: Rule, subject: Subject): Pick<Unproved, "missing" | "command"> {
  const { name, sha256, image } = subject;
  if (image === undefined) {
    const file = inCommand(name);
    return {
      missing: `the release has no Sigstore bundle ${unsignedIn(subject)}`,
      command: `cosign sign-blob ${signWith} --bundle ${file}.sigstore.json ${file}`,
    };
  }
  return {
    missing: "the registry has no signature for it",
    command: `cosign sign ${signWith} IMAGE@sha256:${sha256}`,
  };
}

/** The fields of a proof that come from the log. */
export function logProof(entries: readonly LoggedEntry[]): Pick<Proof, "log" | "signedAt"> {
  const [entry] = entries;
  if (entry === undefined) return {};
  return { log: `${entry.log.name} ${entry.index}`, signedAt: entry.time?.toISOString() };
}
