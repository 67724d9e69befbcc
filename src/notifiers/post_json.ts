/** Posting JSON to a secret URL, and what the answers mean. */
import { CredentialError, type DewyError, RemoteError } from "../core/error.ts";
import { redactText } from "../core/secret.ts";
import { discardBody } from "../http/body.ts";
import { createHttpClient, type HttpRequest } from "../http/client.ts";
import type { HttpFailure } from "../http/errors.ts";
import { describePause } from "../http/retry.ts";
import type { NotifierContext } from "./driver.ts";

export interface Service {
  /** Its name in errors. */
  name: string;
  target: URL;
  headers?: Readonly<Record<string, string>>;
  /** What to do if the service refuses the URL or the token. */
  advice: string;
  /** Whether the service refuses everything, although it answers as to a bad message. */
  refusesAll?(body: string): boolean;
  /** Reads the pause that the body of a failure asks for, in milliseconds. */
  retryAfterMs?(body: string): number | undefined;
}

export interface Post {
  /** JSON, or JSON that is text already. */
  body: object | string;
  headers?: Readonly<Record<string, string>>;
}

/** Posts once. Any 2xx means that the service has the message. */
export type JsonPoster = (post: Post, signal: AbortSignal) => Promise<void>;

export function createPoster(service: Service, context: NotifierContext): JsonPoster {
  const { name, target, headers } = service;
  const http = createHttpClient({
    ...context,
    service: name,
    retries: 0,
    // The client knows the origin only, so that no error and no event can show the secret path.
    fetch: (_, init) => context.fetch(target, init),
  });
  return async ({ body, headers: more }, signal) => {
    const request: HttpRequest = {
      method: "POST",
      url: `${target.origin}/`,
      headers: { "content-type": "application/json; charset=utf-8", ...headers, ...more },
      body: typeof body === "string" ? body : JSON.stringify(body),
      redirect: "manual",
      signal,
      toError: (failure) => refusal(service, failure),
    };
    const response = await http.send(request).catch((error: unknown) => {
      throw unreachable(error);
    });
    discardBody(response);
    if (!response.ok) {
      const what = `Cannot send to ${name}: HTTP ${response.status} is a redirect`;
      throw new CredentialError(`${what}; ${service.advice}`);
    }
  };
}

/** A certificate that is not trusted today may be tomorrow: the operator has to act, the notification waits. */
function unreachable(error: unknown): unknown {
  const isKnown = !(error instanceof RemoteError) || error.status !== undefined || error.retryable;
  if (isKnown) return error;
  return new RemoteError(error.message, { cause: error, fault: "operator" });
}

/** Nothing else will be accepted at this URL, or with this token, before an operator does something about it. */
const REFUSED_URL: ReadonlySet<number> = new Set([401, 403, 404, 405, 410]);

function refusal(service: Service, failure: HttpFailure): DewyError {
  const { name, target, advice, refusesAll, retryAfterMs } = service;
  const { status } = failure;
  // Some services repeat the path.
  const secrets = [target.pathname, ...target.pathname.split("/"), ...target.searchParams.values()];
  const message = redactText(failure.message, secrets.filter(isSecretPart));
  const what = `Cannot send to ${name}: HTTP ${status}${message === "" ? "" : `: ${message}`}`;
  const isForOperator = REFUSED_URL.has(status) || refusesAll?.(failure.body) === true;
  if (isForOperator) return new CredentialError(`${what}; ${advice}`);
  const askedMs = retryAfterMs?.(failure.body) ?? failure.retryAfterMs;
  const pause = askedMs === undefined ? "" : `; ${describePause(askedMs)}`;
  return new RemoteError(`${what}${pause}`, {
    status,
    retryable: status >= 500 || status === 408 || status === 429,
    ...(askedMs !== undefined && { retryAfterMs: askedMs }),
    code: status === 429 ? "rate-limited" : "remote",
  });
}

/** Not `api`, `webhooks` or `manual`. */
function isSecretPart(part: string): boolean {
  return part.length > 10;
}
