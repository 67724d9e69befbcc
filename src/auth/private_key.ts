import { type CryptoKey, importPKCS8 } from "jose";
import { ConfigError } from "../core/error.ts";

// Few sign in with a key, so this module, and with it jose, is loaded when one is used.
export { SignJWT } from "jose";

/**
 * Reads an RSA private key. GitHub issues PKCS#1 (`BEGIN RSA PRIVATE KEY`), but Web Crypto takes only PKCS#8, so the
 * former is wrapped in the latter. `\n` may stand for line breaks, as in environment files.
 */
export async function importAppKey(pem: string, name: string): Promise<CryptoKey> {
  const text = pem.replaceAll("\\r", "").replaceAll("\\n", "\n").replaceAll("\r", "").trim();
  const block =
    /^-----BEGIN ((?:RSA )?PRIVATE KEY)-----\s+([A-Za-z0-9+/=\s]+)-----END \1-----$/.exec(text);
  if (block === null) {
    throw new ConfigError(
      `Cannot use ${name}: expected an RSA private key in PEM, "-----BEGIN RSA PRIVATE KEY-----" or ` +
        `"-----BEGIN PRIVATE KEY-----", without a passphrase`,
    );
  }
  const [, kind, body = ""] = block;
  try {
    const der = decodeBase64(body);
    return await importPKCS8(toPem(kind === "PRIVATE KEY" ? der : wrapPkcs1(der)), "RS256");
  } catch {
    // Without the cause, since some runtimes quote the key.
    throw new ConfigError(`Cannot use ${name}: the key is damaged, or it is not an RSA key`);
  }
}

// SEQUENCE { OID rsaEncryption, NULL }: https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1
const RSA = [
  0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/** PrivateKeyInfo: https://www.rfc-editor.org/rfc/rfc5208#section-5 */
function wrapPkcs1(key: Uint8Array): Uint8Array {
  return der(0x30, [0x02, 0x01, 0x00, ...RSA, ...der(0x04, [...key])]);
}

function der(tag: number, content: readonly number[]): Uint8Array {
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return new Uint8Array([tag, ...size, ...content]);
}

function decodeBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text.replaceAll(/\s/g, "")), (char) => char.charCodeAt(0));
}

function toPem(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return `-----BEGIN PRIVATE KEY-----\n${text}\n-----END PRIVATE KEY-----`;
}
