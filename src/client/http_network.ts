import { ConfigError, RemoteError } from "../core/error.ts";
import { redactText } from "../core/secret.ts";
import { redactUrl } from "../core/url.ts";

/** A wait that took too long; becomes a RemoteError of code `timeout`. */
export class Late extends Error {
  /** How long was waited, in milliseconds. */
  readonly ms: number;
  /**
   * @param ms how long was waited, in milliseconds.
   * @param what what did not come.
   */
  constructor(ms: number, what: string) {
    super(`no ${what} within ${ms / 1000} s`);
    this.ms = ms;
  }
}

// Codes of Node's system calls, TLS and undici, and of Bun, in words.
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused",
  ConnectionRefused: "the connection was refused",
  ECONNRESET: "the connection was reset",
  ConnectionClosed: "the connection was closed",
  EPIPE: "the connection was closed",
  UND_ERR_SOCKET: "the connection was closed",
  ENOTFOUND: "the host name is unknown",
  EAI_AGAIN: "the host name cannot be looked up right now",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  ETIMEDOUT: "the connection timed out",
  UND_ERR_CONNECT_TIMEOUT: "the connection timed out",
  UND_ERR_HEADERS_TIMEOUT: "no answer came",
  UND_ERR_BODY_TIMEOUT: "the answer stopped coming",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "the answer is shorter than it said",
};

const UNTRUSTED =
  /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|invalid peer certificate|unknown ?issuer|certificate/i;

/**
 * Translates what `fetch` or a body threw.
 *
 * @param method the HTTP method.
 * @param url the address.
 * @param cause what was thrown.
 * @returns the error to throw; not retryable when the certificate is not trusted, or a check of ours refused the address.
 */
export function networkError(method: string, url: URL, cause: unknown): RemoteError {
  const shown = redactUrl(url);
  const parts = { method, url: shown, cause };
  if (cause instanceof Late) {
    return new RemoteError(`Cannot ${method} ${shown}: ${cause.message}`, {
      ...parts,
      code: "timeout",
    });
  }
  const refusal = refusalIn(cause);
  if (refusal !== undefined) {
    const message = `Cannot ${method} ${shown}: ${refusal.message}`;
    return new RemoteError(message, { ...parts, retryable: false });
  }
  const { code, text } = innermost(cause);
  if (UNTRUSTED.test(`${code} ${text}`)) {
    return new RemoteError(
      `Cannot ${method} ${shown}: the server's certificate is not trusted (${code || text}); ` +
        "name the authority that signed it with SSL_CERT_FILE or --ca-file",
      { ...parts, retryable: false },
    );
  }
  const reason = REASONS[code] ?? (text || code || "the network failed");
  return new RemoteError(
    `Cannot ${method} ${shown}: ${reason}${REASONS[code] ? ` (${code})` : ""}`,
    parts,
  );
}

/** Runtimes wrap the system's error in others; the innermost one with a code says why. */
function innermost(cause: unknown): { code: string; text: string } {
  let found = { code: "", text: "" };
  let error: unknown = cause;
  for (let depth = 0; depth < 8 && typeof error === "object" && error !== null; depth += 1) {
    const { code, message, errors, cause: next }: ForeignError = error;
    if (typeof message === "string" && message !== "") {
      found = { code: found.code, text: redactText(message).replace(/\s+/g, " ").slice(0, 200) };
    }
    if (typeof code === "string") found = { ...found, code };
    error = next ?? (Array.isArray(errors) ? errors[0] : undefined);
  }
  return found;
}

/** What a check of ours said of the addresses, inside what the runtime made of it. */
function refusalIn(cause: unknown): ConfigError | undefined {
  for (let error = cause; error instanceof Error; error = error.cause) {
    if (error instanceof ConfigError) return error;
  }
  return undefined;
}

interface ForeignError {
  code?: unknown;
  message?: unknown;
  errors?: unknown;
  cause?: unknown;
}
