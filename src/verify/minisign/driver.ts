import { ConfigError } from "../../core/error.ts";
import type { SignaturePair } from "../coverage.ts";
import { verifyEd25519 } from "../ed25519.ts";
import { readKeyFile, unusableKeys } from "../key_file.ts";
import { type CheckSignature, type DetachedSignature, proveBySignature } from "../signature.ts";
import { EvidenceError, hashFile, readFile } from "../signed_file.ts";
import type { Subject, VerifierDriver, VerifyContext } from "../types.ts";
import { type PublicKey, parsePublicKey, parseSignature, type Signature } from "./format.ts";

const MINISIGN: DetachedSignature = {
  kind: "minisign",
  suffixes: [".minisig"],
  command: (file) => `minisign -S -s minisign.key -m ${file}`,
};

/** Signatures of the file itself need it in memory. */
const MAX_LEGACY_BYTES = 2 ** 20;

export const minisign: VerifierDriver = {
  kind: "minisign",
  syntax: "minisign=KEY",
  description: "A signature by this public key of minisign, or by one of those in a file",
  open(value, context) {
    const inline = parsePublicKey(value);
    if (value === "" || (inline === undefined && /^RW[A-Za-z0-9+/]{50,}=*$/.test(value))) {
      throw new ConfigError(
        "Invalid value for --verify: minisign=KEY needs a public key of minisign, such as RWQf6LRCGA9i5…, or its file; copy it from minisign.pub",
      );
    }
    return {
      kind: "minisign",
      async verify(subject, signal) {
        const keys = inline === undefined ? await readKeys(value, context) : [inline];
        const check = checkWith(keys, subject);
        return proveBySignature(MINISIGN, check, subject, context, signal);
      },
    };
  },
};

async function readKeys(value: string, context: VerifyContext): Promise<readonly PublicKey[]> {
  const text = await readKeyFile("minisign", value, context);
  const keys = text.split(/\s+/).flatMap((word) => parsePublicKey(word) ?? []);
  if (keys.length > 0) return keys;
  const reason = "it has no public key of minisign; minisign -G writes one to minisign.pub";
  throw unusableKeys("minisign", value, reason, context);
}

function checkWith(keys: readonly PublicKey[], subject: Subject): CheckSignature {
  return async (bytes, pair, signal) => {
    const signature = parseSignature(bytes);
    const key = keys.find(({ id }) => id === signature.keyId);
    if (key === undefined) {
      const known = keys.map(({ id }) => id).join(" or ");
      throw new EvidenceError(`it is signed by key ${signature.keyId}, not by ${known}`);
    }
    if (!(await isSigned(signature, key, pair, signal))) {
      throw new EvidenceError("the signature is wrong, or of another file");
    }
    if (!(await verifyEd25519(key.key, signature.globalSignature, signature.signed))) {
      throw new EvidenceError("its trusted comment was changed");
    }
    requireComment(signature.trustedComment, pair, subject);
    return { signer: key.id, signedAt: timeIn(signature.trustedComment) };
  };
}

async function isSigned(
  { isLegacy, signature }: Signature,
  { key }: PublicKey,
  { file }: SignaturePair,
  signal: AbortSignal,
): Promise<boolean> {
  const data = isLegacy
    ? await readFile(file, MAX_LEGACY_BYTES, signal)
    : await hashFile(file, "blake2b512", signal);
  if (data === undefined) {
    throw new EvidenceError("it is in the legacy form, which is for files of at most 1 MiB");
  }
  return verifyEd25519(key, signature, data);
}

/** minisign writes the name of the file into the comment; with `-t "tag:v1.2.3"`, it has the tag. */
function requireComment(comment: string, { file }: SignaturePair, { tag }: Subject): void {
  const [, name] = /(?:^|\t)file:([^\t]+)/.exec(comment) ?? [];
  if (name !== undefined && name !== file.name) {
    throw new EvidenceError(`it was made for the file "${name}"`);
  }
  const [, signed] = /(?:^|\s)tag:(\S+)/.exec(comment) ?? [];
  if (signed !== undefined && signed !== tag) {
    throw new EvidenceError(`it was made for the tag ${signed}`);
  }
}

function timeIn(comment: string): string | undefined {
  const [, seconds] = /(?:^|\t)timestamp:(\d{1,11})(?:\t|$)/.exec(comment) ?? [];
  return seconds === undefined ? undefined : new Date(Number(seconds) * 1_000).toISOString();
}
