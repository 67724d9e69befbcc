import { ConfigError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { isSameBytes } from "../bytes.ts";
import { type SignaturePair, signaturesOf } from "../coverage.ts";
import { readKeyFile, unusableKeys } from "../key_file.ts";
import {
  type CheckSignature,
  type DetachedSignature,
  MAX_SIGNATURE_BYTES,
  proveBySignature,
} from "../signature.ts";
import { EvidenceError } from "../signed_file.ts";
import type { Bytes, Subject, VerifierDriver, VerifyContext } from "../types.ts";
import { type AllowedSigner, matchesPatterns, parseAllowedSigners } from "./allowed_signers.ts";
import { fingerprintOf } from "./keys.ts";
import { isArmored, isSignatureOf, parseSignature } from "./signature.ts";

/** What ssh-keygen's manual names for files. A signature of a commit has another one. */
const NAMESPACE = "file";

const SSH: DetachedSignature = {
  kind: "ssh",
  suffixes: [".sig"],
  command: (file) => `ssh-keygen -Y sign -n ${NAMESPACE} -f KEY ${file}`,
};

export const ssh: VerifierDriver = {
  kind: "ssh",
  syntax: "ssh=ALLOWED_SIGNERS",
  description: "A signature of ssh-keygen -Y sign -n file, by a key in this allowed signers file",
  open(value, context) {
    if (value === "") {
      throw new ConfigError(
        "Invalid value for --verify: ssh=ALLOWED_SIGNERS needs a file with lines such as: release@example.com ssh-ed25519 AAAA…",
      );
    }
    return {
      kind: "ssh",
      async verify(subject, signal) {
        const signers = await readSigners(value, context);
        const check = checkBy((key) => problemOf(key, signers, context.clock.now()));
        return proveBySignature(SSH, check, subject, context, signal);
      },
    };
  },
  async offered(subject, context, signal) {
    if (subject.image !== undefined || !(await isOffered(subject, context, signal))) return [];
    const check = checkBy(() => undefined);
    return [await proveBySignature(SSH, check, subject, context, signal)];
  },
};

async function readSigners(
  value: string,
  context: VerifyContext,
): Promise<readonly AllowedSigner[]> {
  const text = await readKeyFile("ssh", value, context);
  let signers: readonly AllowedSigner[];
  try {
    signers = parseAllowedSigners(text);
  } catch (error) {
    throw unusableKeys("ssh", value, messageOf(error), context);
  }
  if (signers.length > 0) return signers;
  throw unusableKeys("ssh", value, "it lists no keys", context);
}

/** @param problem Why a key must not sign; `undefined` if it may. */
function checkBy(problem: (key: Bytes) => string | undefined): CheckSignature {
  return async (bytes, { file }, signal) => {
    const signature = parseSignature(bytes);
    const { key, namespace } = signature;
    if (namespace !== NAMESPACE) {
      throw new EvidenceError(`it was made for the namespace "${namespace}", not "${NAMESPACE}"`);
    }
    const signer = await fingerprintOf(key);
    const reason = problem(key);
    if (reason !== undefined) throw new EvidenceError(`it is signed by ${signer}, ${reason}`);
    if (!(await isSignatureOf(signature, file, signal))) {
      throw new EvidenceError("the signature is wrong, or of another file");
    }
    return { signer };
  };
}

function problemOf(key: Bytes, signers: readonly AllowedSigner[], now: number): string | undefined {
  const lines = signers.filter((signer) => !signer.isAuthority && isSameBytes(signer.key, key));
  if (lines.length === 0) return "which is not an allowed signer";
  const current = lines.filter(
    ({ validAfter = 0, validBefore = Number.POSITIVE_INFINITY }) =>
      validAfter <= now && now <= validBefore,
  );
  if (current.length === 0) return "whose key is not valid now";
  const isAllowed = current.some(
    ({ namespaces }) => namespaces === undefined || matchesPatterns(NAMESPACE, namespaces),
  );
  return isAllowed ? undefined : `whose key is not for the namespace "${NAMESPACE}"`;
}

/** Other programs write `*.sig`, too. */
async function isOffered(
  subject: Subject,
  context: VerifyContext,
  signal: AbortSignal,
): Promise<boolean> {
  for await (const pair of signaturesOf(subject, context, SSH.suffixes, signal)) {
    if (await isSshSignature(pair, subject)) return true;
  }
  return false;
}

async function isSshSignature(
  { signature, checksums }: SignaturePair,
  subject: Subject,
): Promise<boolean> {
  if (checksums?.problem !== undefined && !checksums.isMismatch) return false;
  if ((signature.size ?? 0) > MAX_SIGNATURE_BYTES) return false;
  return isArmored(new Uint8Array(await subject.read(signature, MAX_SIGNATURE_BYTES)));
}
