import { CredentialError } from "../../../core/error.ts";

/** What proves to a registry who asks. */
export type OciCredential =
  | {
      kind: "basic";
      username: string;
      password: string;
      /** When it ends, in milliseconds since the Unix epoch. */
      expiresAt?: number;
    }
  /** Exchanged for access tokens: the `identitytoken` that `docker login` may store. */
  | { kind: "refresh"; token: string }
  /** Sent as it is: the `registrytoken` of Docker's config.json. */
  | { kind: "bearer"; token: string };

/** A place where credentials may be found. */
export interface CredentialSource {
  /** What people call it: `DOCKER_USERNAME`, a path. */
  name: string;
  /**
   * Looks there. Called whenever a new token is needed, so that what was changed meanwhile is seen.
   *
   * @param signal ends the search.
   * @returns the credential; `undefined` when there is none for this registry.
   * @throws DewyError when there is one that cannot be used.
   */
  find(signal: AbortSignal | undefined): Promise<OciCredential | undefined>;
}

/** A repository and its registry. */
export interface OciTarget {
  /** The registry's host, with its port. */
  registry: string;
  /** The repository's name. */
  repository: string;
}

/**
 * The value of an `Authorization` header with user name and password.
 *
 * @param username the user name.
 * @param password the password.
 * @param source where they came from, for errors.
 * @returns `Basic …`, of UTF-8.
 * @throws CredentialError when the user name has a colon.
 * @see https://www.rfc-editor.org/rfc/rfc7617
 */
export function basicHeader(username: string, password: string, source: string): string {
  if (username.includes(":")) {
    throw new CredentialError(`Cannot use ${source}: a user name must not have a colon`);
  }
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}
