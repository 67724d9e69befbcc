import { SignJWT } from "jose";
import { importAppKey } from "../private_key.ts";
import { secureAddress } from "./host.ts";
import type { AuthorizedUser, ServiceAccountKey } from "./schema.ts";
import {
  askTokenServer,
  type GoogleToken,
  type GoogleTokenIo,
  oauthAnswer,
  type TokenQuestion,
} from "./token.ts";

const FORM = { "content-type": "application/x-www-form-urlencoded" };
const JWT_LIFETIME_S = 3600;

/**
 * Signs in with the key of a service account.
 *
 * @param io the world.
 * @param key the key.
 * @param source where it came from, for errors.
 * @returns a token.
 * @throws ConfigError when the key is damaged; CredentialError when it is refused.
 * @see https://developers.google.com/identity/protocols/oauth2/service-account#httprest
 */
export async function serviceAccountToken(
  io: GoogleTokenIo,
  key: ServiceAccountKey,
  source: string,
): Promise<GoogleToken> {
  const url = secureAddress(key.token_uri, "token_uri", source).href;
  const assertion = await signAssertion(io, key, source);
  return requestToken(io, source, url, {
    form: { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion },
    advice: "was the key deleted, or is this machine's clock wrong?",
    secrets: [assertion],
  });
}

async function signAssertion(
  io: GoogleTokenIo,
  key: ServiceAccountKey,
  source: string,
): Promise<string> {
  const now = Math.floor(io.clock.now() / 1000);
  const kid = key.private_key_id === undefined ? {} : { kid: key.private_key_id };
  return new SignJWT({ scope: io.scope })
    .setProtectedHeader({ alg: "RS256", typ: "JWT", ...kid })
    .setIssuer(key.client_email)
    .setAudience(key.token_uri)
    .setIssuedAt(now)
    .setExpirationTime(now + JWT_LIFETIME_S)
    .sign(await importAppKey(key.private_key, `private_key of ${source}`));
}

/**
 * Signs in as a person, with what gcloud left.
 *
 * @param io the world.
 * @param user the refresh token and its client.
 * @param source where it came from, for errors.
 * @returns a token.
 * @throws CredentialError when the refresh token is refused.
 * @see https://developers.google.com/identity/protocols/oauth2/native-app#offline
 */
export function authorizedUserToken(
  io: GoogleTokenIo,
  user: AuthorizedUser,
  source: string,
): Promise<GoogleToken> {
  const { client_id, client_secret, refresh_token } = user;
  return requestToken(io, source, `https://oauth2.${io.universe}/token`, {
    form: { grant_type: "refresh_token", client_id, client_secret, refresh_token },
    advice: "run: gcloud auth application-default login",
    secrets: [client_secret, refresh_token],
  });
}

async function requestToken(
  io: GoogleTokenIo,
  source: string,
  url: string,
  question: { form: Record<string, string> } & Pick<TokenQuestion<unknown>, "advice" | "secrets">,
): Promise<GoogleToken> {
  const { form, advice, secrets } = question;
  const body = new URLSearchParams(form).toString();
  const request = { method: "POST", url, headers: FORM, body, signal: io.signal };
  const answer = await askTokenServer(io.http, {
    request,
    schema: oauthAnswer,
    source,
    advice,
    secrets,
  });
  return {
    accessToken: answer.access_token,
    expiresAt: io.clock.now() + answer.expires_in * 1000,
    source,
  };
}
