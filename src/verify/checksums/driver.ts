import { ConfigError } from "../../core/error.ts";
import type { Proof } from "../../core/proof.ts";
import { checksumFilesOf } from "../coverage.ts";
import { notForImages } from "../signature.ts";
import type { Subject, VerifierDriver, VerifyContext } from "../types.ts";
import { inCommand, unproved } from "../unproved.ts";

export const checksums: VerifierDriver = {
  kind: "checksums",
  syntax: "checksums",
  description:
    "The checksum file of the release. It finds accidents, not attackers: add a kind that signs it",
  open(value, context) {
    if (value !== "") {
      throw new ConfigError('Invalid value for --verify: checksums has no value; use "checksums"');
    }
    return {
      kind: "checksums",
      verify: (subject, signal) => verifyChecksums(subject, context, signal),
    };
  },
};

/** All checksum files that list the artifact must have its digest. */
async function verifyChecksums(
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): Promise<Proof> {
  if (subject.image !== undefined) throw notForImages("checksums", subject);
  const files = await checksumFilesOf(subject, context, signal);
  const match = files.find(({ problem }) => problem === undefined);
  const wrong = files.find(({ isMismatch }) => isMismatch);
  if (match !== undefined && wrong === undefined) {
    return { kind: "checksums", evidence: match.name, checksums: match.name };
  }
  const refused = wrong === undefined ? files : [wrong];
  throw unproved("checksums", subject, {
    reasons: refused.map(({ name, problem }) => `${name}: ${problem}`),
    missing: "the release has no checksum file that lists it",
    make: "make one",
    command: `sha256sum ${inCommand(subject.name)} > SHA256SUMS`,
  });
}
