import { ConfigError, RemoteError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";
import { networkCause } from "./network_cause.ts";

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
  const { reason, retryable } = networkCause(cause);
  return new RemoteError(`Cannot ${method} ${shown}: ${reason}`, { ...parts, retryable });
}

/** The refusal of an address by dewy itself, inside what the runtime made of it. */
export function refusalIn(cause: unknown): ConfigError | undefined {
  for (let error = cause; error instanceof Error; error = error.cause) {
    if (error instanceof ConfigError) return error;
  }
  return undefined;
}
