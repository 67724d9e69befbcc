import { bytesToHex, sha256 } from "../../core/encoding.ts";
import { ConfigError, VerificationError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Proof } from "../../core/proof.ts";
import { printable } from "../../core/text.ts";
import { compareParsed, parseVersion, versionOf } from "../../version/version.ts";
import { notForImages } from "../signature.ts";
import { EvidenceError } from "../signed_file.ts";
import type { Bytes, Subject, Verifier, VerifierDriver, VerifyContext } from "../types.ts";
import { inCommand, unproved } from "../unproved.ts";
import { findIndex } from "./find.ts";
import { digestIn, INDEX_NAME, type Index, parseIndex } from "./format.ts";

/** Clocks of CI and of this machine differ a little. */
const MAX_SKEW_MS = 5 * 60_000;

export const index: VerifierDriver = {
  kind: "index",
  syntax: "index",
  description:
    "A list of all versions, made by dewy sign-index, that has not expired and is signed as another rule wants",
  open(value, context, rules = []) {
    const signatures = rules.filter(({ kind }) => kind !== "checksums" && kind !== "index");
    if (value !== "") {
      throw new ConfigError(`Invalid value for --verify "index=${value}": index has no value`);
    }
    if (signatures.length === 0) {
      throw new ConfigError(
        "Invalid value for --verify: index needs a rule about its signature beside it, such as minisign=KEY",
      );
    }
    return {
      kind: "index",
      verify: (subject, signal) => prove(subject, { signatures, context, signal }),
    };
  },
};

interface Rule {
  signatures: readonly Verifier[];
  context: VerifyContext;
  signal: AbortSignal;
}

async function prove(subject: Subject, { signatures, context, signal }: Rule): Promise<Proof> {
  if (subject.image !== undefined) throw notForImages("index", subject);
  const failed = (reasons: readonly string[], make: string): VerificationError =>
    unproved("index", subject, {
      ...{ reasons, make, command: commandFor(subject) },
      missing: `there is no ${INDEX_NAME} in the release, nor beside the releases`,
    });
  const found = await findIndex(subject, signal);
  if (found === undefined) throw failed([], "make one");
  const { kind, evidence } = await proveSigned(found, signatures, signal);
  try {
    const list = readIndex(found.bytes);
    requireCurrent(list, context.clock.now());
    requireListed(list, subject);
    requireNothingHidden(list, subject);
    return {
      kind: "index",
      evidence: `${INDEX_NAME}, ${kind} in ${evidence}`,
      signedAt: list.issued,
    };
  } catch (error) {
    if (!(error instanceof EvidenceError)) throw error;
    throw failed([`${INDEX_NAME}: ${messageOf(error)}`], "make it");
  }
}

function commandFor({ tag, name }: Subject): string {
  return `dewy sign-index ${inCommand(tag)} ${inCommand(name)} -- minisign -S -s minisign.key -m`;
}

/** The proof of the first signature rule that holds for the index itself. */
async function proveSigned(
  { bytes, subject }: { bytes: Bytes; subject: Subject },
  signatures: readonly Verifier[],
  signal: AbortSignal,
): Promise<Proof> {
  const own: Subject = {
    ...subject,
    name: INDEX_NAME,
    sha256: bytesToHex(await sha256(bytes)),
    size: bytes.byteLength,
    open: () => new Blob([bytes]).stream(),
  };
  let first: unknown;
  for (const signature of signatures) {
    try {
      return await signature.verify(own, signal);
    } catch (error) {
      signal.throwIfAborted();
      first ??= error;
    }
  }
  if (first instanceof VerificationError) throw first;
  throw new VerificationError(
    `Cannot verify "${INDEX_NAME}" of ${subject.tag}: ${messageOf(first)}`,
    { cause: first },
  );
}

function readIndex(bytes: Bytes): Index {
  const list = parseIndex(new TextDecoder().decode(bytes));
  if (typeof list === "string") throw new EvidenceError(list);
  return list;
}

function requireCurrent({ issued, expires }: Index, now: number): void {
  if (Date.parse(expires) <= now) {
    throw new EvidenceError(`it has expired at ${expires}; the registry may be frozen`);
  }
  if (Date.parse(issued) > now + MAX_SKEW_MS) {
    throw new EvidenceError(
      `it was made at ${issued}, which is in the future; is this machine's clock right?`,
    );
  }
}

function requireListed(list: Index, { tag, name, sha256 }: Subject): void {
  const digest = digestIn(list, tag, name);
  if (digest === undefined) throw new EvidenceError(`it does not list "${name}" of ${tag}`);
  if (digest !== `sha256:${sha256}`) {
    throw new EvidenceError(`it has another digest for "${name}"`);
  }
}

/** The registry may have its reasons for an older version, but not that it has lost a newer one. */
function requireNothingHidden({ versions }: Index, { tag, listing }: Subject): void {
  if (listing === undefined) return;
  const read = (one: string) =>
    parseVersion(versionOf(one, listing.calver), { calver: listing.calver });
  const own = read(tag);
  const hidden = Object.keys(versions).find((one) => {
    const other = listing.tags.has(one) ? undefined : read(one);
    return own !== undefined && other !== undefined && compareParsed(other, own) > 0;
  });
  if (hidden === undefined) return;
  throw new EvidenceError(
    `it has ${printable(hidden)}, which the registry does not list: it may be hidden`,
  );
}
