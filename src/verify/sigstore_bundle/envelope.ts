import * as v from "valibot";
import { concat } from "../bytes.ts";
import type { Bytes } from "../types.ts";
import { BundleError, type Envelope } from "./bundle.ts";

/** What an envelope states about its subjects. https://github.com/in-toto/attestation/tree/main/spec/v1 */
export interface Statement {
  predicateType: string;
  predicate?: unknown;
  subject: readonly { digest: Readonly<Record<string, string>> }[];
}

const STATEMENT = v.object({
  _type: v.picklist(["https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"]),
  predicateType: v.string(),
  predicate: v.optional(v.unknown()),
  subject: v.array(v.object({ digest: v.record(v.string(), v.string()) })),
});

/** @throws {BundleError} If the envelope has something else, or the artifact is not one of its subjects. */
export function statementAbout(envelope: Envelope, sha256: string): Statement {
  if (envelope.payloadType !== "application/vnd.in-toto+json") {
    throw new BundleError(`the envelope has ${envelope.payloadType}, not an in-toto statement`);
  }
  const parsed = v.safeParse(STATEMENT, JSON.parse(new TextDecoder().decode(envelope.payload)));
  if (!parsed.success) throw new BundleError("the in-toto statement is malformed");
  const { subject } = parsed.output;
  if (!subject.some(({ digest }) => digest.sha256?.toLowerCase() === sha256)) {
    throw new BundleError("the attestation is about other files");
  }
  return parsed.output;
}

/** What the signature of an envelope is over. https://github.com/secure-systems-lab/dsse/blob/master/protocol.md */
export function preAuthEncoding({ payloadType, payload }: Envelope): Bytes {
  const encoder = new TextEncoder();
  const type = encoder.encode(payloadType);
  const header = encoder.encode(`DSSEv1 ${type.byteLength} ${payloadType} ${payload.byteLength} `);
  return concat(header, payload);
}
