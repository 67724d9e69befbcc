import * as v from "valibot";
import { authorizedUserToken, serviceAccountToken } from "./account.ts";
import { googleAddress } from "./host.ts";
import type { ImpersonatedAccount } from "./schema.ts";
import { askTokenServer, type GoogleToken, type GoogleTokenIo } from "./token.ts";

const DEFAULT_LIFETIME_S = 3600;

const answer = v.object({
  accessToken: v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/)),
  expireTime: v.pipe(
    v.string(),
    v.isoTimestamp(),
    v.transform((text) => Date.parse(text)),
  ),
});

/** Whose token is wanted, and for how long. */
export interface Impersonation {
  /** The address that gives tokens of the service account, already checked. */
  url: string;
  /** Seconds that the token should live; an hour unless told. */
  lifetimeS?: number | undefined;
  /** Service accounts on the way. */
  delegates?: readonly string[];
  /** Where the credentials came from, for errors. */
  source: string;
}

/**
 * Gets a token of a service account for somebody who may act as it.
 *
 * @param io the world.
 * @param caller the token of the one who acts.
 * @param target whose token is wanted.
 * @returns the token.
 * @throws CredentialError when the caller may not act as that account.
 * @see https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
 */
export async function impersonate(
  io: GoogleTokenIo,
  caller: GoogleToken,
  target: Impersonation,
): Promise<GoogleToken> {
  const { url, delegates = [], source } = target;
  const wish = {
    scope: [io.scope],
    lifetime: `${target.lifetimeS ?? DEFAULT_LIFETIME_S}s`,
    ...(delegates.length === 0 ? {} : { delegates }),
  };
  const { accessToken, expireTime } = await askTokenServer(io.http, {
    request: {
      method: "POST",
      url,
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${caller.accessToken}`,
      },
      body: JSON.stringify(wish),
      signal: io.signal,
    },
    schema: answer,
    source,
    advice: "it needs the role Service Account Token Creator or Workload Identity User",
    secrets: [caller.accessToken],
  });
  return { accessToken, expiresAt: expireTime, source };
}

/**
 * Signs in as a service account in the place of a person or of another account.
 *
 * @param io the world.
 * @param account who acts as whom.
 * @param source where it came from, for errors.
 * @returns a token of the service account.
 * @throws ConfigError when the address leads elsewhere than to Google; CredentialError when one is refused.
 */
export async function impersonatedToken(
  io: GoogleTokenIo,
  account: ImpersonatedAccount,
  source: string,
): Promise<GoogleToken> {
  const field = "service_account_impersonation_url";
  const url = googleAddress(account[field], field, io.universe, source);
  const { source_credentials: actor, delegates } = account;
  const wide = { ...io, scope: "https://www.googleapis.com/auth/cloud-platform" };
  const caller =
    actor.type === "service_account"
      ? await serviceAccountToken(wide, actor, source)
      : await authorizedUserToken(wide, actor, source);
  return impersonate(io, caller, { url, delegates, source });
}
