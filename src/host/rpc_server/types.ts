/**
 * What a server is told, in types that need no host's: they are part of the public API.
 *
 * @module
 */

/** A certificate and its key, as PEM text. */
export interface TlsFiles {
  /** The certificate, followed by those between it and its root. */
  cert: string;
  /** The private key. */
  key: string;
}

/** Answers a request; `undefined`: there is nothing at this path. */
export type FetchHandler = (
  request: Request,
) => Promise<Response | undefined> | Response | undefined;
