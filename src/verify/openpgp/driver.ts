import type { PublicKey, VerifyMessageResult } from "openpgp";
import { ConfigError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import type { Proof } from "../../core/proof.ts";
import { readKeyFile, unusableKeys } from "../key_file.ts";
import { type CheckSignature, type DetachedSignature, proveBySignature } from "../signature.ts";
import { EvidenceError, type SignedFile, unchanged } from "../signed_file.ts";
import type { Bytes, VerifierDriver, VerifyContext } from "../types.ts";
import { loadOpenPgp, type OpenPgp } from "./package.ts";

const OPENPGP: DetachedSignature = {
  kind: "openpgp",
  suffixes: [".asc", ".sig", ".gpg"],
  command: (file) => `gpg --batch --armor --detach-sign ${file}`,
};

export const openpgp: VerifierDriver = {
  kind: "openpgp",
  syntax: "openpgp=KEYFILE",
  description:
    "A detached OpenPGP signature by a key in this file, as gpg --armor --export writes it",
  open(value, context) {
    if (value === "") {
      throw new ConfigError(
        "Invalid value for --verify: openpgp=KEYFILE needs a file of public keys; gpg --armor --export KEYID writes one",
      );
    }
    return {
      kind: "openpgp",
      async verify(subject, signal) {
        const library = await loadOpenPgp();
        const keys = await readKeys(library, value, context);
        const check = checkWith(library, keys, new Date(context.clock.now()));
        return proveBySignature(OPENPGP, check, subject, context, signal);
      },
    };
  },
};

const KEY_BLOCK = /-----BEGIN PGP PUBLIC KEY BLOCK-----[\s\S]*?-----END PGP PUBLIC KEY BLOCK-----/g;

async function readKeys(
  { readKeys }: OpenPgp,
  value: string,
  context: VerifyContext,
): Promise<PublicKey[]> {
  const blocks = (await readKeyFile("openpgp", value, context)).match(KEY_BLOCK) ?? [];
  if (blocks.length === 0) {
    const reason = "it has no public keys in ASCII armor; gpg --armor --export KEYID writes them";
    throw unusableKeys("openpgp", value, reason, context);
  }
  try {
    const keys = await Promise.all(blocks.map((armoredKeys) => readKeys({ armoredKeys })));
    return keys.flat().map((key) => key.toPublic());
  } catch (error) {
    throw unusableKeys("openpgp", value, messageOf(error), context);
  }
}

function checkWith(library: OpenPgp, keys: PublicKey[], date: Date): CheckSignature {
  return async (bytes, { file }, signal) => {
    const signature = await readSignature(library, bytes);
    const message = await library.createMessage({ binary: streamOf(file, signal) });
    const options = { message, signature, verificationKeys: keys, format: "binary", date } as const;
    const { data, signatures } = await library.verify(options).catch((cause) => {
      throw new EvidenceError("it is malformed", { cause });
    });
    await drain(data as ReadableStream<Uint8Array>);
    return proofOf(signatures, keys, library);
  };
}

async function readSignature({ readSignature }: OpenPgp, bytes: Bytes) {
  const text = new TextDecoder().decode(bytes);
  if (text.startsWith("-----BEGIN PGP SIGNED MESSAGE-----")) {
    throw new EvidenceError("it has the text in it; sign with --detach-sign");
  }
  try {
    return await (text.startsWith("-----BEGIN PGP SIGNATURE-----")
      ? readSignature({ armoredSignature: text })
      : readSignature({ binarySignature: bytes }));
  } catch (cause) {
    throw new EvidenceError("it is not an OpenPGP signature", { cause });
  }
}

async function proofOf(
  results: VerifyMessageResult["signatures"],
  keys: readonly PublicKey[],
  { enums }: OpenPgp,
): Promise<Pick<Proof, "signer" | "signedAt">> {
  const reasons: string[] = [];
  for (const { keyID, verified, signature } of results) {
    const key = keys.find((one) => one.getKeys(keyID).length > 0);
    const [packet] = (await signature).packets;
    if (key === undefined) {
      reasons.push(`it is signed by key ${keyID.toHex().toUpperCase()}, which is not in the file`);
    } else if (packet?.signatureType !== enums.signature.binary) {
      reasons.push("it is of a text, not of the bytes; sign without --textmode");
    } else {
      const reason = await verified.then(() => undefined, reasonOf);
      if (reason === undefined) {
        return {
          signer: key.getFingerprint().toUpperCase(),
          signedAt: packet.created?.toISOString(),
        };
      }
      reasons.push(reason);
    }
  }
  throw new EvidenceError(reasons[0] ?? "it has no signature of a file");
}

function reasonOf(error: unknown): string {
  const message = messageOf(error);
  const isWrong = /^(?:Signed digest did not match|Signature verification failed)$/.test(message);
  if (isWrong) return "the signature is wrong, or of another file";
  if (/creation time is in the future/.test(message)) {
    return "it is from the future, if the clock of this machine is right";
  }
  return message.replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase()).replace(/\.$/, "");
}

/** The library hashes what is read from here. It replaces the methods of the stream, but not its iterator. */
async function drain(stream: ReadableStream<Uint8Array>): Promise<void> {
  const reader = stream.getReader();
  while (!(await reader.read()).done);
}

function streamOf(file: SignedFile, signal: AbortSignal): ReadableStream<Uint8Array> {
  const chunks = unchanged(file, signal);
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return(undefined);
    },
  });
}
