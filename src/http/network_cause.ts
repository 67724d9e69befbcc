/**
 * What a runtime's network error means. Node, Deno and Bun report the same failure with different codes and texts, some
 * of which come straight from OpenSSL, rustls or nghttp2.
 *
 * @module
 */
import { redactText } from "../core/secret.ts";

export type NetworkCauseKind =
  | "refused"
  | "reset"
  | "closed"
  | "closed-in-handshake"
  | "unknown-host"
  | "no-lookup"
  | "unreachable"
  | "blocked-port"
  | "timeout"
  | "no-resources"
  | "not-tls"
  | "no-common-protocol"
  | "old-tls"
  | "client-certificate"
  | "expired"
  | "wrong-name"
  | "untrusted"
  | "handshake"
  | "not-http"
  | "not-http2"
  | "flood"
  | "call-refused"
  | "large-headers"
  | "compression"
  | "short"
  | "hidden"
  | "other";

export interface NetworkCause {
  kind: NetworkCauseKind;
  /** What failed, the system's code if people search for it, and what to do if that is clear. */
  reason: string;
  retryable: boolean;
}

const WORDS: Readonly<Record<Exclude<NetworkCauseKind, "other">, string>> = {
  refused: "the connection was refused",
  reset: "the connection was reset",
  closed: "the connection was closed",
  "closed-in-handshake": "the connection was closed during the TLS handshake",
  "unknown-host": "unknown host",
  "no-lookup": "the host name cannot be looked up right now",
  unreachable: "the host cannot be reached",
  "blocked-port": "the runtime does not connect to this port",
  timeout: "the connection timed out",
  "no-resources": "this machine has too many open files or connections",
  "not-tls": "the server does not speak TLS on this port",
  "no-common-protocol": "the server speaks TLS, but no HTTP version that dewy supports",
  "old-tls": "the server's TLS version is outdated",
  "client-certificate": "the server asks for a client certificate, which dewy does not have",
  expired: "the server's certificate has expired or is not valid yet",
  "wrong-name": "the server's certificate is for another host name",
  untrusted: "the server's certificate is not trusted",
  handshake: "the TLS handshake failed",
  "not-http": "the server does not speak HTTP on this port",
  "not-http2": "the server does not speak HTTP/2 on this port",
  flood: "the server floods the connection with HTTP/2 frames",
  "call-refused": "the server accepts no calls on this connection",
  "large-headers": "the response headers are too large",
  compression: "the response cannot be decompressed",
  short: "the response is shorter than announced",
  hidden: "the browser does not say why; does the server allow requests from this origin (CORS)?",
};

/** What to do about certificates. Other failures pass, or their description is enough. */
const ADVICE: Partial<Readonly<Record<NetworkCauseKind, string>>> = {
  untrusted: "name the authority that signed it with SSL_CERT_FILE or --ca-file",
  expired: "renew it, or set this machine's clock",
  "wrong-name": "use a name that is in the certificate",
};

/** Searched in the codes and messages of the whole chain of causes, the most specific first. */
const RULES: readonly (readonly [RegExp, Exclude<NetworkCauseKind, "other">])[] = [
  [
    /WRONG_VERSION_NUMBER|wrong version number|InvalidContentType|packet length too long/i,
    "not-tls",
  ],
  [/NO_APPLICATION_PROTOCOL|no ?application ?protocol/i, "no-common-protocol"],
  [/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|protocol ?version|unsupported protocol/i, "old-tls"],
  [/CERTIFICATE_REQUIRED|certificate ?required/i, "client-certificate"],
  [
    /CERT_HAS_EXPIRED|CERT_NOT_YET_VALID|certificate (has )?expired|not (yet valid|valid yet)/i,
    "expired",
  ],
  [/ALTNAME|not valid for (any )?name|NotValidForName/i, "wrong-name"],
  [
    /\bCERT_|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|unknown ?issuer|certificate/i,
    "untrusted",
  ],
  [/handshake eof|before secure TLS connection/i, "closed-in-handshake"],
  [/TLS handshake failed|EPROTO|ERR_SSL|SSL routines|fatal alert/i, "handshake"],
  [/Flooding was detected|Too many (invalid|CONTINUATION)/i, "flood"],
  [/REFUSED_STREAM|Session closed with error|after receiving a GOAWAY/i, "call-refused"],
  [
    /HTTPParserError|HPE_|does not match the HTTP|Malformed_HTTP|invalid HTTP|unexpected message from connection/i,
    "not-http",
  ],
  [/ERR_HTTP2_ERROR|Protocol error|PROTOCOL_ERROR/i, "not-http2"],
  [/\bbad port\b|requests to port \d+ are blocked/i, "blocked-port"],
  [/UND_ERR_HEADERS_OVERFLOW/, "large-headers"],
  [/Z_(DATA|BUF)_ERROR|ZlibError|incorrect header check|unexpected end of file/i, "compression"],
  [/CONTENT_LENGTH_MISMATCH/, "short"],
  [/ECONNREFUSED|ConnectionRefused|Connection refused/i, "refused"],
  [/EAI_AGAIN|temporary failure in name resolution/i, "no-lookup"],
  [/ENOTFOUND|failed to lookup address|dns error/i, "unknown-host"],
  [/EHOSTUNREACH|ENETUNREACH|No route to host|Network is unreachable/i, "unreachable"],
  [/EMFILE|ENFILE|EADDRNOTAVAIL|Too many open files/i, "no-resources"],
  [/ETIMEDOUT|_TIMEOUT\b|timed out/i, "timeout"],
  [/ECONNRESET|Connection reset/i, "reset"],
  [
    /ConnectionClosed|EPIPE|UND_ERR_SOCKET|connection (was )?closed|connection lost|error reading a body|error code CANCEL/i,
    "closed",
  ],
  // Chromium, Firefox and Safari: https://fetch.spec.whatwg.org/#concept-network-error tells scripts no more.
  [/Failed to fetch|TypeError: network error|NetworkError when attempting|Load failed/, "hidden"],
];

/** URLs and host names, which could contain any word of the rules. */
const NAMES = /https?:\/\/\S+|(ENOTFOUND|EAI_AGAIN) \S+/g;

/** Codes that people search for: those of system calls and of certificates. */
const SEARCHABLE = /^(?!ERR_|UND_)[A-Z][A-Z_]+$/;

export function networkCause(cause: unknown): NetworkCause {
  const { code, texts } = read(cause);
  const all = [code, ...texts].join(" ").replaceAll(NAMES, "$1");
  const kind = RULES.find(([pattern]) => pattern.test(all))?.[1];
  if (kind === undefined)
    return { kind: "other", reason: plain(texts.at(-1) ?? code), retryable: true };
  const advice = ADVICE[kind];
  const reason = `${WORDS[kind]}${SEARCHABLE.test(code) ? ` (${code})` : ""}`;
  if (advice === undefined) return { kind, reason, retryable: true };
  return { kind, reason: `${reason}; ${advice}`, retryable: false };
}

/** Runtimes wrap the system's error; the innermost code is the most specific. */
function read(cause: unknown): { code: string; texts: string[] } {
  let code = "";
  const texts: string[] = [];
  let error: unknown = cause;
  for (let depth = 0; depth < 8 && typeof error === "object" && error !== null; depth += 1) {
    const { name, code: own, message, errors, cause: next }: ForeignError = error;
    if (typeof message === "string" && message !== "") texts.push(`${name}: ${message}`);
    if (typeof own === "string") code = own;
    error = next ?? (Array.isArray(errors) ? errors[0] : undefined);
  }
  return { code, texts };
}

/** A message that no rule matches, on one short line. */
function plain(text: string): string {
  const line = redactText(text)
    .replace(/^\w*(Error|Exception): /, "")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 200);
  return line === "" ? "the network failed" : `the network failed: ${line}`;
}

interface ForeignError {
  name?: unknown;
  code?: unknown;
  message?: unknown;
  errors?: unknown;
  cause?: unknown;
}
