import { bytesToBase64, sha256 } from "../../core/encoding.ts";
import { ConfigError, VerificationError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { BundleError } from "../sigstore_bundle/bundle.ts";
import { verifyContent } from "../sigstore_bundle/content.ts";
import { verifyEntries } from "../sigstore_bundle/log_entry.ts";
import { type Check, logProof, proveByBundle } from "../sigstore_bundle/prove.ts";
import { importPublicKeyPem, type PublicKey } from "../sigstore_bundle/public_key.ts";
import type { Verifier, VerifierDriver, VerifyContext } from "../types.ts";

const SYNTAX = "sigstore-key=FILE";

export const sigstoreKey: VerifierDriver = {
  kind: "sigstore-key",
  syntax: SYNTAX,
  description: "A Sigstore bundle by the key in FILE, as cosign sign-blob --key makes it",
  open: openSigstoreKey,
};

function openSigstoreKey(value: string, context: VerifyContext): Verifier {
  if (value === "") {
    throw new ConfigError(`Invalid value for --verify: ${SYNTAX} needs the file of a public key`);
  }
  return {
    kind: "sigstore-key",
    async verify(subject, signal) {
      const check = checkWith(await readKey(value, context));
      const rule = { kind: "sigstore-key", check, signWith: "--yes --key cosign.key" } as const;
      return proveByBundle(rule, subject, context, signal);
    },
  };
}

function checkWith(key: PublicKey): Check {
  return async (bundle, { file }, root) => {
    if (bundle.signer.kind !== "key") {
      throw new BundleError("it is signed with a certificate, not with a key");
    }
    const entries = await verifyEntries(bundle, key.spki, root);
    await verifyContent(bundle.content, file, key);
    const fingerprint = bytesToBase64(await sha256(key.spki));
    return { signer: `SHA256:${fingerprint}`, ...logProof(entries) };
  };
}

/** On the edge, the value is the key itself. */
async function readKey(value: string, { readTextFile }: VerifyContext): Promise<PublicKey> {
  const isKey = value.startsWith("-----BEGIN ");
  const where = isKey ? "the key" : `"${value}"`;
  try {
    const pem = isKey || readTextFile === undefined ? value : await readTextFile(value);
    const key = await importPublicKeyPem(pem);
    if (key !== undefined) return key;
  } catch (cause) {
    throw new VerificationError(`Cannot read ${where} for sigstore-key: ${messageOf(cause)}`, {
      cause,
      fault: "operator",
    });
  }
  throw new VerificationError(
    `Cannot use ${where} for sigstore-key: it is not a public key in PEM; cosign generate-key-pair writes one to cosign.pub`,
    { fault: "operator" },
  );
}
