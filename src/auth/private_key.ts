import { bytesToBase64 } from "../core/encoding.ts";
import { ConfigError } from "../core/error.ts";

const RS256 = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };

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
    const pkcs8 = kind === "PRIVATE KEY" ? der : wrapPkcs1(der);
    return await crypto.subtle.importKey("pkcs8", pkcs8, RS256, false, ["sign"]);
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
function wrapPkcs1(key: Uint8Array): Uint8Array<ArrayBuffer> {
  return der(0x30, [0x02, 0x01, 0x00, ...RSA, ...der(0x04, [...key])]);
}

function der(tag: number, content: readonly number[]): Uint8Array<ArrayBuffer> {
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return new Uint8Array([tag, ...size, ...content]);
}

/** Signs a token by RS256: https://www.rfc-editor.org/rfc/rfc7515#section-3.1 */
export async function signJwt(
  key: CryptoKey,
  header: { kid?: string | undefined },
  claims: Readonly<Record<string, string | number>>,
): Promise<string> {
  const encode = (value: object): string =>
    toBase64Url(new TextEncoder().encode(JSON.stringify(value)));
  const signed = `${encode({ alg: "RS256", typ: "JWT", ...header })}.${encode(claims)}`;
  const signature = await crypto.subtle.sign(RS256.name, key, new TextEncoder().encode(signed));
  return `${signed}.${toBase64Url(new Uint8Array(signature))}`;
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll(/\s/g, "")), (char) => char.charCodeAt(0));
}

function toBase64Url(bytes: Uint8Array<ArrayBuffer>): string {
  return bytesToBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
