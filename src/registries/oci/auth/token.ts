import * as v from "valibot";
import type { Context } from "../../../core/context.ts";
import { CredentialError, type DewyError } from "../../../core/error.ts";
import type { HttpClient, HttpFailure, HttpRequest } from "../../../http/client.ts";
import { ociError, parseResponse } from "../errors.ts";
import { basicHeader, type OciCredential } from "./credential.ts";

export interface TokenScope {
  realm: URL;
  /** The registry's name at the token service; may be empty. */
  service: string;
  /** `repository:o/r:pull` */
  scope: string;
}

export interface OciToken {
  token: string;
  /** In milliseconds since the Unix epoch. */
  expiresAt: number;
}

const HEADER_SAFE = /^[\x21-\x7e]+$/;
/** https://distribution.github.io/distribution/spec/auth/token/#token-response-fields */
const DEFAULT_EXPIRES_IN = 60;
const MAX_EXPIRES_IN = 7 * 24 * 3600;
const MAX_RESPONSE_BYTES = 1024 * 1024;
const CLIENT_ID = "dewy";

const text = v.optional(v.nullable(v.string()));
const TokenResponse = v.pipe(
  v.object({
    token: text,
    access_token: text,
    expires_in: v.optional(v.nullable(v.number())),
  }),
  v.transform(({ token, access_token, expires_in }) => ({
    token: token || access_token || "",
    // Some services send 0 if the field is unset.
    expires_in: Math.min(expires_in || DEFAULT_EXPIRES_IN, MAX_EXPIRES_IN),
  })),
  v.object({ token: v.pipe(v.string(), v.regex(HEADER_SAFE)), expires_in: v.number() }),
);

export interface TokenRequest {
  scope: TokenScope;
  /** `undefined` for anonymous access. */
  credential: Exclude<OciCredential, { kind: "bearer" }> | undefined;
  /** Where the credential came from, for errors. */
  source: string;
  signal: AbortSignal | undefined;
}

type TokenContext = Pick<Context, "clock"> & { http: HttpClient };

/**
 * Requests a token: with GET for a user name and password, with an OAuth2 POST for a refresh token or if the service
 * does not support GET.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 * @see https://distribution.github.io/distribution/spec/auth/oauth/
 */
export async function requestToken(context: TokenContext, wanted: TokenRequest): Promise<OciToken> {
  const { credential, source, scope } = wanted;
  if (credential?.kind === "refresh") {
    const grant = { grant_type: "refresh_token", refresh_token: credential.token };
    return send(context, wanted, oauthRequest(scope, grant));
  }
  const url = tokenUrl(scope);
  if (credential === undefined) return send(context, wanted, { url });
  const { username, password } = credential;
  const headers = { authorization: basicHeader(username, password, source) };
  let isUnsupported = false;
  try {
    return await send(context, wanted, { url, headers }, ({ status }) => {
      isUnsupported = status === 404 || status === 405;
    });
  } catch (error) {
    if (!isUnsupported) throw error;
    const grant = { grant_type: "password", username, password };
    return send(context, wanted, oauthRequest(scope, grant));
  }
}

function tokenUrl({ realm, service, scope }: TokenScope): URL {
  const url = new URL(realm);
  if (service !== "") url.searchParams.set("service", service);
  url.searchParams.set("scope", scope);
  url.searchParams.sort();
  return url;
}

function oauthRequest(scope: TokenScope, grant: Record<string, string>): HttpRequest {
  const body = new URLSearchParams({ ...grant, client_id: CLIENT_ID, scope: scope.scope });
  if (scope.service !== "") body.set("service", scope.service);
  return {
    method: "POST",
    url: scope.realm,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: body.toString(),
    // Requesting an extra token is harmless.
    idempotent: true,
  };
}

async function send(
  { http, clock }: TokenContext,
  wanted: TokenRequest,
  request: HttpRequest,
  onFailure: (failure: HttpFailure) => void = () => {},
): Promise<OciToken> {
  const requestedAt = clock.now();
  const response = await http.json({
    ...request,
    signal: wanted.signal,
    // A redirect could lead anywhere, into private address space too.
    redirect: "error",
    maxBytes: MAX_RESPONSE_BYTES,
    toError: (failure) => {
      onFailure(failure);
      return tokenError(failure, wanted);
    },
  });
  const { token, expires_in: seconds } = parseResponse(TokenResponse, response, request.url);
  return { token, expiresAt: requestedAt + seconds * 1000 };
}

function tokenError(failure: HttpFailure, { credential, source }: TokenRequest): DewyError {
  const secret = credential?.kind === "basic" ? credential.password : (credential?.token ?? "");
  const error = ociError(failure, [secret]);
  // RFC 6749 requires 400 for an invalid grant.
  if (![400, 401, 403].includes(failure.status)) return error;
  return new CredentialError(`${error.message} (${source})`);
}
