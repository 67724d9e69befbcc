import { bytesToBase64, sha256 } from "../../core/encoding.ts";
import { concat } from "../bytes.ts";
import { verifyEd25519 } from "../ed25519.ts";
import { EvidenceError } from "../signed_file.ts";
import type { Bytes } from "../types.ts";
import { WireReader, wireString } from "./wire.ts";

export interface SshKey {
  type: string;
  /** @throws {EvidenceError} If the format does not belong to the key. */
  verify(signature: Bytes, data: Bytes): Promise<boolean>;
}

const CURVES: Readonly<Record<string, { name: string; hash: string; size: number }>> = {
  nistp256: { name: "P-256", hash: "SHA-256", size: 32 },
  nistp384: { name: "P-384", hash: "SHA-384", size: 48 },
  nistp521: { name: "P-521", hash: "SHA-512", size: 66 },
};

/** As ssh-keygen requires it, and a common minimum. */
const MIN_RSA_BYTES = 256;

/** Reads the public part of a key: https://www.rfc-editor.org/rfc/rfc4253#section-6.6 and the RFCs 5656 and 8709. */
export function parseKey(blob: Bytes): SshKey {
  const reader = new WireReader(blob);
  const type = reader.text();
  const verifySignature = verifierFor(type, reader);
  reader.end();
  return {
    type,
    async verify(signature, data) {
      const fields = new WireReader(signature);
      const isValid = await verifySignature(fields.text(), fields, data);
      fields.end();
      return isValid;
    },
  };
}

export async function fingerprintOf(blob: Bytes): Promise<string> {
  return `SHA256:${bytesToBase64(await sha256(blob)).replace(/=+$/, "")}`;
}

type VerifySignature = (format: string, fields: WireReader, data: Bytes) => Promise<boolean>;

function verifierFor(type: string, key: WireReader): VerifySignature {
  switch (type) {
    case "ssh-ed25519":
      return ed25519(key.string());
    case "ecdsa-sha2-nistp256":
    case "ecdsa-sha2-nistp384":
    case "ecdsa-sha2-nistp521":
      return ecdsa(type, key.text(), key.string());
    case "ssh-rsa":
      return rsa(key.integer(), key.integer());
    case "sk-ssh-ed25519@openssh.com":
      return securityKey(type, ed25519(key.string()), key.string());
    case "sk-ecdsa-sha2-nistp256@openssh.com":
      return securityKey(
        type,
        ecdsa("ecdsa-sha2-nistp256", key.text(), key.string()),
        key.string(),
      );
    default:
      throw new EvidenceError(
        type.includes("-cert-v01@")
          ? "it is made with a certificate, which dewy does not verify; sign it with a key"
          : `keys of ${type} are not supported`,
      );
  }
}

function ed25519(key: Bytes): VerifySignature {
  return async (format, fields, data) => {
    requireFormat(format, "ssh-ed25519");
    return verifyEd25519(key, fields.string(), data);
  };
}

function ecdsa(type: string, curveName: string, point: Bytes): VerifySignature {
  const curve = CURVES[curveName];
  if (curve === undefined || !type.endsWith(curveName))
    throw new EvidenceError("its curve differs");
  const { name, hash, size } = curve;
  return async (format, fields, data) => {
    requireFormat(format, type);
    const integers = new WireReader(fields.string());
    const [r, s] = [integers.integer(), integers.integer()];
    integers.end();
    if (r.byteLength > size || s.byteLength > size) return false;
    const algorithm = { name: "ECDSA", namedCurve: name };
    const key = await crypto.subtle.importKey("raw", point, algorithm, false, ["verify"]);
    const signature = new Uint8Array(size * 2);
    signature.set(r, size - r.byteLength);
    signature.set(s, size * 2 - s.byteLength);
    return crypto.subtle.verify({ name: "ECDSA", hash }, key, signature, data);
  };
}

/** SHA-1, which the format ssh-rsa means, is not taken. https://www.rfc-editor.org/rfc/rfc8332 */
const RSA_HASHES: Readonly<Record<string, string>> = {
  "rsa-sha2-256": "SHA-256",
  "rsa-sha2-512": "SHA-512",
};

function rsa(exponent: Bytes, modulus: Bytes): VerifySignature {
  if (modulus.byteLength < MIN_RSA_BYTES) {
    throw new EvidenceError("its RSA key is too short; use one of at least 2048 bits");
  }
  return async (format, fields, data) => {
    const hash = RSA_HASHES[format];
    if (hash === undefined) throw new EvidenceError(`signatures of ${format} are not secure`);
    const jwk = { kty: "RSA", n: base64url(modulus), e: base64url(exponent) };
    const algorithm = { name: "RSASSA-PKCS1-v1_5", hash };
    const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["verify"]);
    return crypto.subtle.verify(algorithm, key, fields.string(), data);
  };
}

/** A key in a FIDO authenticator: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.u2f */
function securityKey(type: string, verify: VerifySignature, application: Bytes): VerifySignature {
  return async (format, fields, data) => {
    requireFormat(format, type);
    const signature = new WireReader(wireString(fields.string()));
    const flagsAndCounter = fields.bytes(5);
    const signed = concat(await sha256(application), flagsAndCounter, await sha256(data));
    return verify(type.replace(/^sk-|@openssh\.com$/g, ""), signature, signed);
  };
}

function requireFormat(format: string, expected: string): void {
  if (format !== expected) throw new EvidenceError(`a key of ${expected} cannot sign as ${format}`);
}

function base64url(bytes: Bytes): string {
  return bytesToBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
