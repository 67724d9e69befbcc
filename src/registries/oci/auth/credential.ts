import { CredentialError } from "../../../core/error.ts";

export type OciCredential =
  | {
      kind: "basic";
      username: string;
      password: string;
      /** In milliseconds since the Unix epoch. */
      expiresAt?: number;
    }
  /** Exchanged for access tokens: the `identitytoken` that `docker login` may store. */
  | { kind: "refresh"; token: string }
  /** Sent unchanged: the `registrytoken` of Docker's config.json. */
  | { kind: "bearer"; token: string };

export interface CredentialSource {
  /** For messages: `DOCKER_USERNAME`, a path. */
  name: string;
  /**
   * Called whenever a new token is needed, so that changes take effect. `undefined` if the source has no credential for
   * this registry; throws a DewyError if it has one that cannot be used.
   */
  find(signal: AbortSignal | undefined): Promise<OciCredential | undefined>;
}

export interface OciTarget {
  /** The host, with its port. */
  registry: string;
  repository: string;
}

/** The value of an `Authorization` header: https://www.rfc-editor.org/rfc/rfc7617 */
export function basicHeader(username: string, password: string, source: string): string {
  if (username.includes(":")) {
    throw new CredentialError(`Cannot use ${source}: a user name must not have a colon`);
  }
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}
