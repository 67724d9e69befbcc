import * as v from "valibot";
import type { AuthorizedUser, ImpersonatedAccount, ServiceAccountKey } from "./schema.ts";
import {
  type GoogleToken,
  requestOAuthToken,
  requestToken,
  type TokenContext,
  type TokenRequest,
} from "./token.ts";
import { parseGoogleUrl, parseSecureUrl } from "./universe.ts";

export const CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform";
const FORM = { "content-type": "application/x-www-form-urlencoded" };
const JWT_LIFETIME_S = 3600;
const IMPERSONATION_LIFETIME_S = 3600;

/** https://developers.google.com/identity/protocols/oauth2/service-account#httprest */
export async function serviceAccountToken(
  context: TokenContext,
  key: ServiceAccountKey,
  source: string,
): Promise<GoogleToken> {
  const url = parseSecureUrl({ text: key.token_uri, field: "token_uri", source }).href;
  const assertion = await signAssertion(context, key, source);
  return postForm(context, url, {
    form: { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion },
    source,
    advice: "was the key deleted, or is this machine's clock wrong?",
    secrets: [assertion],
  });
}

async function signAssertion(
  { clock, scope }: TokenContext,
  key: ServiceAccountKey,
  source: string,
): Promise<string> {
  const now = Math.floor(clock.now() / 1000);
  const { importAppKey, SignJWT } = await import("../private_key.ts");
  return new SignJWT({ scope })
    .setProtectedHeader({ alg: "RS256", typ: "JWT", kid: key.private_key_id })
    .setIssuer(key.client_email)
    .setAudience(key.token_uri)
    .setIssuedAt(now)
    .setExpirationTime(now + JWT_LIFETIME_S)
    .sign(await importAppKey(key.private_key, `private_key of ${source}`));
}

/** https://developers.google.com/identity/protocols/oauth2/native-app#offline */
export function authorizedUserToken(
  context: TokenContext,
  { client_id, client_secret, refresh_token }: AuthorizedUser,
  source: string,
): Promise<GoogleToken> {
  return postForm(context, `https://oauth2.${context.universe}/token`, {
    form: { grant_type: "refresh_token", client_id, client_secret, refresh_token },
    source,
    advice: "run: gcloud auth application-default login",
    secrets: [client_secret, refresh_token],
  });
}

async function postForm(
  context: TokenContext,
  url: string,
  {
    form,
    ...rest
  }: { form: Record<string, string> } & Omit<TokenRequest<v.GenericSchema>, "request" | "schema">,
): Promise<GoogleToken> {
  const body = new URLSearchParams(form).toString();
  const request = { method: "POST", url, headers: FORM, body, signal: context.signal };
  return requestOAuthToken(context, { ...rest, request });
}

export async function impersonatedToken(
  context: TokenContext,
  account: ImpersonatedAccount,
  source: string,
): Promise<GoogleToken> {
  const field = "service_account_impersonation_url";
  const url = parseGoogleUrl({ text: account[field], field, source }, context.universe);
  const { source_credentials: caller, delegates } = account;
  const wide = { ...context, scope: CLOUD_PLATFORM };
  const token =
    caller.type === "service_account"
      ? await serviceAccountToken(wide, caller, source)
      : await authorizedUserToken(wide, caller, source);
  return impersonate(context, token, { url, delegates, source });
}

const ImpersonationResponse = v.object({
  accessToken: v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/)),
  expireTime: v.pipe(
    v.string(),
    v.isoTimestamp(),
    v.transform((text) => Date.parse(text)),
  ),
});

export interface Impersonation {
  /** A checked URL that issues tokens of the service account. */
  url: string;
  lifetimeS?: number | undefined;
  delegates?: readonly string[];
  source: string;
}

/** https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken */
export async function impersonate(
  { http, scope, signal }: TokenContext,
  caller: GoogleToken,
  { url, lifetimeS = IMPERSONATION_LIFETIME_S, delegates = [], source }: Impersonation,
): Promise<GoogleToken> {
  const body = {
    scope: [scope],
    lifetime: `${lifetimeS}s`,
    delegates: delegates.length === 0 ? undefined : delegates,
  };
  const { accessToken, expireTime } = await requestToken(http, {
    request: {
      method: "POST",
      url,
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${caller.accessToken}`,
      },
      body: JSON.stringify(body),
      signal,
    },
    schema: ImpersonationResponse,
    source,
    advice: "it needs the role Service Account Token Creator or Workload Identity User",
    secrets: [caller.accessToken],
  });
  return { accessToken, expiresAt: expireTime, source };
}
