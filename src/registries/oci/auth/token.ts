import * as v from "valibot";
import type { Clock } from "../../../core/clock.ts";
import { CredentialError, type DewyError } from "../../../core/error.ts";
import type { HttpClient, HttpFailure, HttpRequest } from "../../../http/client.ts";
import { checkAnswer, ociError } from "../error.ts";
import { basicHeader, type OciCredential } from "./credential.ts";

/** What a token is asked for. */
export interface TokenScope {
  /** The token service. */
  realm: URL;
  /** The registry as the token service knows it; empty: not said. */
  service: string;
  /** What it shall allow: `repository:o/r:pull`. */
  scope: string;
}

/** A token for a registry. */
export interface OciToken {
  /** The secret. */
  token: string;
  /** When it ends, in milliseconds since the Unix epoch. */
  expiresAt: number;
}

const HEADER_SAFE = /^[\x21-\x7e]+$/;
/** https://distribution.github.io/distribution/spec/auth/token/#token-response-fields */
const DEFAULT_EXPIRES_IN = 60;
const MAX_EXPIRES_IN = 7 * 24 * 3600;
const MAX_ANSWER_BYTES = 1024 * 1024;
const CLIENT_ID = "dewy";

const text = v.optional(v.nullable(v.string()));
const Answer: v.GenericSchema<unknown, { token: string; expires_in: number }> = v.pipe(
  v.object({
    token: text,
    access_token: text,
    expires_in: v.optional(v.nullable(v.number())),
  }),
  v.transform(({ token, access_token, expires_in }) => ({
    token: token || access_token || "",
    // Zero is said by services that forgot to fill it in.
    expires_in: Math.min(expires_in || DEFAULT_EXPIRES_IN, MAX_EXPIRES_IN),
  })),
  v.object({ token: v.pipe(v.string(), v.regex(HEADER_SAFE)), expires_in: v.number() }),
);

/** Asks for a token. */
export interface TokenQuestion {
  /** What for. */
  scope: TokenScope;
  /** Who asks; `undefined`: anonymous. */
  credential: Exclude<OciCredential, { kind: "bearer" }> | undefined;
  /** Where the credential came from, for errors. */
  source: string;
  /** Ends the call. */
  signal: AbortSignal | undefined;
}

/**
 * Asks a token service: by GET with user name and password, by an OAuth2 POST with a refresh token, or where the service
 * knows no GET.
 *
 * @param http the client.
 * @param clock time.
 * @param question what for, and who asks.
 * @returns the token.
 * @throws CredentialError when the service refuses; RemoteError when it cannot be reached or its answer cannot be read.
 * @see https://distribution.github.io/distribution/spec/auth/token/
 * @see https://distribution.github.io/distribution/spec/auth/oauth/
 */
export async function askToken(
  http: HttpClient,
  clock: Clock,
  question: TokenQuestion,
): Promise<OciToken> {
  const { credential, source } = question;
  if (credential?.kind === "refresh") {
    return ask(http, clock, question, {
      ...oauthRequest(question.scope, {
        grant_type: "refresh_token",
        refresh_token: credential.token,
      }),
    });
  }
  const url = tokenUrl(question.scope);
  if (credential === undefined) return ask(http, clock, question, { url });
  const { username, password } = credential;
  let knowsNoGet = false;
  try {
    const authorization = basicHeader(username, password, source);
    const headers = { authorization };
    return await ask(http, clock, question, { url, headers }, ({ status }) => {
      knowsNoGet = status === 404 || status === 405;
    });
  } catch (error) {
    if (!knowsNoGet) throw error;
    const grant = { grant_type: "password", username, password };
    return ask(http, clock, question, oauthRequest(question.scope, grant));
  }
}

/**
 * The address of a token request.
 *
 * @param scope what for.
 * @returns the realm with `scope` and `service` added to its query, keys in order.
 */
export function tokenUrl({ realm, service, scope }: TokenScope): URL {
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
    // One token too many does no harm.
    idempotent: true,
  };
}

async function ask(
  http: HttpClient,
  clock: Clock,
  question: TokenQuestion,
  request: HttpRequest,
  onFailure: (failure: HttpFailure) => void = () => {},
): Promise<OciToken> {
  const askedAt = clock.now();
  const answer = await http.json({
    ...request,
    signal: question.signal,
    // Where a token service leads to could be anywhere, private address space included.
    redirect: "error",
    maxBytes: MAX_ANSWER_BYTES,
    toError: (failure) => {
      onFailure(failure);
      return tokenError(failure, question);
    },
  });
  const { token, expires_in: seconds } = checkAnswer(Answer, answer, request.url);
  return { token, expiresAt: askedAt + seconds * 1000 };
}

function tokenError(failure: HttpFailure, { credential, source }: TokenQuestion): DewyError {
  const secret = credential?.kind === "basic" ? credential.password : (credential?.token ?? "");
  const error = ociError(failure, [secret]);
  // RFC 6749 wants 400 for a grant that is not good (any more).
  if (![400, 401, 403].includes(failure.status)) return error;
  return new CredentialError(`${error.message} (${source})`);
}
