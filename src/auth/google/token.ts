import * as v from "valibot";
import type { Clock } from "../../core/clock.ts";
import { CredentialError, type DewyError, RemoteError } from "../../core/error.ts";
import { redactText } from "../../core/secret.ts";
import { redactUrl } from "../../core/url.ts";
import type { HttpClient, HttpRequest } from "../../http/client.ts";
import { failureError, type HttpFailure } from "../../http/errors.ts";

/** An access token. */
export interface GoogleToken {
  /** The secret. */
  accessToken: string;
  /** When it ends, in milliseconds since the Unix epoch. */
  expiresAt: number;
  /** Where the credentials came from: `GOOGLE_APPLICATION_CREDENTIALS`. */
  source: string;
  /** The project that pays for the requests, where it is not the bucket's. */
  quotaProject?: string;
  /** The metadata server gave it. */
  fromMetadata?: boolean;
}

/** What it takes to get a token. */
export interface GoogleTokenIo {
  /** Asks token servers. */
  http: HttpClient;
  /** Time. */
  clock: Clock;
  /** Reads files; absent on the edge. */
  readTextFile?: (path: string) => Promise<string>;
  /** The OAuth scope that is asked for. */
  scope: string;
  /** The domain of Google's servers: `googleapis.com`. */
  universe: string;
  /** Ends the calls. */
  signal?: AbortSignal;
}

/** A question to a token server. */
export interface TokenQuestion<T> {
  /** The request; redirects are not followed. */
  request: HttpRequest;
  /** What the answer should be. */
  schema: v.GenericSchema<unknown, T>;
  /** Where the credentials came from, for errors. */
  source: string;
  /** What to do when they are refused. */
  advice: string;
  /** What was sent and must not come back in an error. */
  secrets: readonly string[];
}

/** Reads `access_token` and `expires_in`. https://www.rfc-editor.org/rfc/rfc6749#section-5.1 */
export const oauthAnswer: v.GenericSchema<unknown, { access_token: string; expires_in: number }> =
  v.object({
    access_token: v.pipe(v.string(), v.regex(/^[\x21-\x7e]+$/)),
    expires_in: v.pipe(v.number(), v.minValue(1), v.maxValue(7 * 24 * 3600)),
  });

const MAX_ANSWER_BYTES = 256 * 1024;

/**
 * Asks a token server.
 *
 * @param http the client.
 * @param question the request, and how to read its answer.
 * @returns the checked answer.
 * @throws CredentialError when the credentials are refused; RemoteError that names the field of an answer that is not
 * as expected; else as {@link HttpClient.json}.
 */
export async function askTokenServer<T>(
  http: HttpClient,
  { request, schema, source, advice, secrets }: TokenQuestion<T>,
): Promise<T> {
  const answer = await http.json({
    ...request,
    redirect: "error",
    // One token too many does no harm.
    idempotent: true,
    maxBytes: MAX_ANSWER_BYTES,
    toError: (failure) => tokenError(failure, source, advice, secrets),
  });
  const result = v.safeParse(schema, answer, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const url = redactUrl(request.url);
  throw new RemoteError(
    `Cannot read the token from ${url}: ${v.getDotPath(issue) ?? "the answer"} should be ${issue.expected ?? issue.type}`,
    { method: request.method ?? "GET", url },
  );
}

/** https://www.rfc-editor.org/rfc/rfc6749#section-5.2 */
function tokenError(
  failure: HttpFailure,
  source: string,
  advice: string,
  secrets: readonly string[],
): DewyError {
  const said = redactText(spoken(failure.body), secrets).replace(/\s+/g, " ").slice(0, 200);
  const refused = [400, 401, 403, 404].includes(failure.status);
  if (!refused) return failureError({ ...failure, message: said });
  return new CredentialError(
    `Cannot sign in to Google with ${source}: ${failure.url} answered HTTP ${failure.status}${said === "" ? "" : `: ${said}`}; ${advice}`,
  );
}

const Refusal = v.union([
  v.pipe(
    v.object({ error: v.string(), error_description: v.optional(v.string(), "") }),
    v.transform(({ error, error_description: why }) => (why === "" ? error : `${error}: ${why}`)),
  ),
  v.pipe(
    v.object({ error: v.object({ message: v.string() }) }),
    v.transform(({ error }) => error.message),
  ),
]);

/** Only what the protocol says is repeated: a page of a proxy may echo anything. */
function spoken(body: string): string {
  try {
    const parsed = v.safeParse(Refusal, JSON.parse(body));
    return parsed.success ? parsed.output : "";
  } catch {
    return "";
  }
}
