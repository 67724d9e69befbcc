import { VerificationError } from "../core/error.ts";
import { messageOf } from "../core/message_of.ts";
import type { VerifyKind } from "../core/proof.ts";
import type { VerifyContext } from "./types.ts";

/** Reads the file of a rule's keys. On the edge, the value is the text itself. */
export async function readKeyFile(
  kind: VerifyKind,
  value: string,
  { readTextFile }: VerifyContext,
): Promise<string> {
  if (readTextFile === undefined) return value;
  try {
    return await readTextFile(value);
  } catch (cause) {
    throw new VerificationError(`Cannot read "${value}" for ${kind}: ${messageOf(cause)}`, {
      cause,
      fault: "operator",
    });
  }
}

export function unusableKeys(
  kind: VerifyKind,
  value: string,
  reason: string,
  { readTextFile }: VerifyContext,
): VerificationError {
  const where = readTextFile === undefined ? "the keys" : `"${value}"`;
  return new VerificationError(`Cannot use ${where} for ${kind}: ${reason}`, { fault: "operator" });
}
