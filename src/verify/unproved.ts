import { VerificationError } from "../core/error.ts";
import type { VerifyKind } from "../core/proof.ts";
import { printable, shorten } from "../core/text.ts";
import type { Subject } from "./types.ts";

export interface Unproved {
  /** Why each piece of evidence does not hold: `app.tar.gz.minisig: the signature is wrong`. */
  reasons: readonly string[];
  /** The reason without any evidence. */
  missing: string;
  /** How to make the evidence in CI: `sign it`. */
  make?: string | undefined;
  command: string;
}

/** A name in a command that is shown to people, who may paste it into a shell. */
export function inCommand(name: string): string {
  return /^\w[\w.+-]*$/.test(name) ? name : "FILE";
}

/** The error of a rule that no evidence of a release holds for. */
export function unproved(
  kind: VerifyKind,
  { name, tag }: Subject,
  { reasons, missing, make = "sign it", command }: Unproved,
): VerificationError {
  const [first, ...more] = reasons;
  const others = more.length === 0 ? "" : ` (and ${more.length} more)`;
  const reason = first === undefined ? missing : shorten(printable(first), 500) + others;
  const advice =
    first === undefined
      ? `${make} in CI: ${command}`
      : `find out who has published it, or ${make} again in CI: ${command}`;
  return new VerificationError(
    `Cannot verify "${name}" of ${tag} with ${kind}: ${reason}; ${advice}`,
  );
}
