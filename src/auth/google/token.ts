import * as v from "valibot";
import type { Context } from "../../core/context.ts";
import { CredentialError, type DewyError, RemoteError } from "../../core/error.ts";
import { redactText } from "../../core/secret.ts";
import { redactUrl } from "../../core/url.ts";
import type { HttpClient, HttpRequest } from "../../http/client.ts";
import { failureError, type HttpFailure } from "../../http/errors.ts";
import { parseJsonIfValid, parseSchema } from "../../http/json.ts";

export interface GoogleToken {
  accessToken: string;
  /** In milliseconds since the Unix epoch. */
  expiresAt: number;
  /** Where the credentials came from: `GOOGLE_APPLICATION_CREDENTIALS`. */
  source: string;
  /** The project that pays for the requests, if it is not the bucket's. */
  quotaProject?: string;
  fromMetadata?: boolean;
}

export interface TokenContext extends Context {
  http: HttpClient;
  scope: string;
  /** The domain of Google's servers: `googleapis.com`. */
  universe: string;
  /** The metadata server has answered before, so that its silence is a failure, not an absence. */
  hasMetadata: boolean;
}

export interface TokenRequest<S extends v.GenericSchema> {
  request: HttpRequest;
  schema: S;
  /** Where the credentials came from, for errors. */
  source: string;
  advice: string;
  /** Secrets of the request, which must not appear in an error. */
  secrets: readonly string[];
}

/** https://www.rfc-editor.org/rfc/rfc6749#section-5.1 */
const OAuthResponse = v.object({
  access_token: v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/)),
  expires_in: v.pipe(v.number(), v.minValue(1), v.maxValue(7 * 24 * 3600)),
});

const MAX_RESPONSE_BYTES = 256 * 1024;

export async function requestOAuthToken(
  { http, clock }: Pick<TokenContext, "http" | "clock">,
  request: Omit<TokenRequest<v.GenericSchema>, "schema">,
): Promise<GoogleToken> {
  const response = await requestToken(http, { ...request, schema: OAuthResponse });
  return {
    accessToken: response.access_token,
    expiresAt: clock.now() + response.expires_in * 1000,
    source: request.source,
  };
}

export async function requestToken<S extends v.GenericSchema>(
  http: HttpClient,
  { request, schema, source, advice, secrets }: TokenRequest<S>,
): Promise<v.InferOutput<S>> {
  const response = await http.json({
    ...request,
    redirect: "error",
    // Requesting an extra token is harmless.
    idempotent: true,
    maxBytes: MAX_RESPONSE_BYTES,
    toError: (failure) => tokenError(failure, { source, advice, secrets }),
  });
  const { method = "GET" } = request;
  const url = redactUrl(request.url);
  return parseSchema(
    schema,
    response,
    (problem) => new RemoteError(`Cannot read the token from ${url}: ${problem}`, { method, url }),
  );
}

/** https://www.rfc-editor.org/rfc/rfc6749#section-5.2 */
function tokenError(
  failure: HttpFailure,
  { source, advice, secrets }: Pick<TokenRequest<v.GenericSchema>, "source" | "advice" | "secrets">,
): DewyError {
  const { status, url, body } = failure;
  const message = redactText(errorMessage(body), secrets).replace(/\s+/g, " ").slice(0, 200);
  if (![400, 401, 403, 404].includes(status)) return failureError({ ...failure, message });
  const said = message === "" ? "" : `: ${message}`;
  return new CredentialError(
    `Cannot sign in to Google with ${source}: ${url} answered HTTP ${status}${said}; ${advice}`,
  );
}

const ErrorBody = v.union([
  v.pipe(
    v.object({ error: v.string(), error_description: v.optional(v.string(), "") }),
    v.transform(({ error, error_description: why }) => (why === "" ? error : `${error}: ${why}`)),
  ),
  v.pipe(
    v.object({ error: v.object({ message: v.string() }) }),
    v.transform(({ error }) => error.message),
  ),
]);

/** Reads only what the protocol defines: a proxy's page may echo anything. */
function errorMessage(body: string): string {
  const parsed = v.safeParse(ErrorBody, parseJsonIfValid(body));
  return parsed.success ? parsed.output : "";
}
