// The types that the package exports, apart from Node's: their users do not need @types/node.

/** A certificate and its key in PEM format. */
export interface TlsFiles {
  /** The certificate, followed by its intermediate certificates. */
  cert: string;
  /** The unencrypted private key. */
  key: string;
}

/** Answers a request. Return `undefined` for 404. */
export type FetchHandler = (
  request: Request,
) => Promise<Response | undefined> | Response | undefined;
