/**
 * HTTP for every remote peer: timeouts, bounded retries, redirects that leak no credentials, and failures as
 * `DewyError`s.
 *
 * @module
 */

import type { Context } from "../core/context.ts";
import { ConfigError, DewyError, RemoteError } from "../core/error.ts";
import { abortWith, stoppedError, TimeoutError, withTimeout } from "../core/timeout.ts";
import { redactUrl } from "../core/url.ts";
import {
  type BodyGuard,
  contentLength,
  discardBody,
  GuardedBody,
  readStart,
  readText,
} from "./body.ts";
import {
  failureError,
  type HttpFailure,
  isTransient,
  networkError,
  serverMessage,
} from "./errors.ts";
import { parseJson } from "./json.ts";
import {
  assertSafeToFollow,
  headersToFollow,
  isRedirect,
  MAX_REDIRECTS,
  nextStep,
  type RedirectStep,
} from "./redirect.ts";
import type { ResponseCache } from "./response_cache.ts";
import { backoffMs, MAX_RETRY_AFTER_MS, retryAfterMs } from "./retry.ts";

export type { HttpFailure } from "./errors.ts";

export type SignableRequest = Omit<RedirectStep, "trusted">;

export interface HttpRequest {
  /** Must not have credentials in it. */
  url: string | URL;
  method?: string;
  headers?: Readonly<Record<string, string>>;
  /** Held in memory, so that a retry can send it again. */
  body?: string | Uint8Array<ArrayBuffer>;
  /** Aborts the call and the stream of the response. */
  signal?: AbortSignal | undefined;
  /** Timeout for the response headers, in milliseconds. Defaults to 30,000. */
  timeoutMs?: number;
  /** Timeout between two chunks of the body, in milliseconds. Defaults to 60,000. */
  idleTimeoutMs?: number;
  /** Statuses other than 2xx that are returned instead of thrown. */
  accept?: readonly number[];
  /** Limit for `text` and `json`, in bytes. Defaults to 32 MiB. */
  maxBytes?: number;
  /**
   * Whether `text` may keep the response in the cache of the context. Only for listings: never for a secret, an artifact or
   * a request with a signature. Defaults to false.
   */
  cacheable?: boolean;
  /**
   * Whether a request that the server may have processed is safe to send again. Defaults to true for GET, HEAD, OPTIONS,
   * DELETE and an unconditional PUT.
   */
  idempotent?: boolean;
  /** `manual` returns redirects, `error` throws. Defaults to `follow`, at most 5. */
  redirect?: "follow" | "manual" | "error";
  /** Called before a redirect is followed; throws a DewyError to refuse it. */
  checkRedirect?: ((next: URL) => void | Promise<void>) | undefined;
  /** Whether to follow a redirect that the runtime hides (browsers) and that cannot be checked. Defaults to false. */
  followHidden?: boolean;
  /** Computes headers for every attempt, such as a signature. They are never sent to another origin. */
  sign?: (request: SignableRequest) => Promise<Readonly<Record<string, string>>>;
  /** Returns a more specific error for a failed response; it also decides about retries. */
  toError?: (failure: HttpFailure) => DewyError | undefined;
}

export interface HttpText {
  status: number;
  headers: Headers;
  text: string;
}

export interface HttpClient {
  /**
   * Resolves as soon as the response headers are there. The body streams; it fails with a RemoteError if it stalls or
   * ends early, and with an AbortedError if the signal aborts. Read it or cancel it.
   */
  send(request: HttpRequest): Promise<Response>;
  text(request: HttpRequest, maxBytes?: number): Promise<HttpText>;
  json(request: HttpRequest): Promise<unknown>;
}

export interface HttpContext extends Pick<Context, "fetch" | "clock" | "emit"> {
  /** The name of the service in network errors: `Amazon S3`. Defaults to its host alone. */
  service?: string;
  userAgent?: string;
  /** For requests that are `cacheable`. Defaults to none. */
  cache?: ResponseCache | undefined;
  retries?: number;
  random?: () => number;
}

const RETRIES = 3;
const HEADERS_TIMEOUT_MS = 30_000;
const IDLE_TIMEOUT_MS = 60_000;
/** Limit for a body that keeps trickling in. */
const TEXT_TIMEOUT_MS = 300_000;
const MAX_TEXT_BYTES = 32 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;

/**
 * Makes a client, which keeps no state between calls.
 *
 * Every failure is a DewyError: CredentialError for 401 and 403, NotFoundError for 404, ConflictError for 409 and 412,
 * AbortedError for the caller's signal, RemoteError for everything else, with code `rate-limited` for 429 and `timeout`
 * for a silent server. Idempotent requests are retried with backoff and jitter after 429, 500, 502, 503, 504, resets and
 * timeouts. A `Retry-After` of up to 30 s is honoured here, a longer one by the caller (`RemoteError.retryAfterMs`).
 */
export function createHttpClient(context: HttpContext): HttpClient {
  const fresh = (request: HttpRequest, maxBytes?: number): Promise<HttpText> =>
    withRetries(context, request, async (attempt) => {
      const answer = await exchange(context, request, attempt);
      const limit = maxBytes ?? request.maxBytes ?? MAX_TEXT_BYTES;
      const { status, headers } = answer.response;
      return { status, headers, text: await readWithTimeout(context, request, answer, limit) };
    });
  const text = async (request: HttpRequest, maxBytes?: number): Promise<HttpText> => {
    const { cache, clock } = context;
    if (cache === undefined || request.cacheable !== true) return fresh(request, maxBytes);
    const { askThroughCache } = await import("./response_cache.ts");
    return askThroughCache(cache, clock, request, (asked) => fresh(asked, maxBytes));
  };
  return {
    send: (request) =>
      withRetries(context, request, async (attempt) =>
        toResponse(await exchange(context, request, attempt)),
      ),
    text,
    json: async (request) =>
      parseJson((await text(request)).text, request.url, "is this the right URL?"),
  };
}

async function withRetries<T>(
  context: HttpContext,
  request: HttpRequest,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  const attempts = isIdempotent(request) ? 1 + (context.retries ?? RETRIES) : 1;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work(attempt);
    } catch (error) {
      if (attempt >= attempts || request.signal?.aborted) throw error;
      if (!(error instanceof RemoteError) || !canRetry(error)) throw error;
      await pause(context, request, error, attempt);
    }
  }
}

/** Not if the server asks for a wait that is too long to sleep through. */
function canRetry(error: RemoteError): boolean {
  if (!error.retryable || (error.retryAfterMs ?? 0) > MAX_RETRY_AFTER_MS) return false;
  return error.status === undefined || isTransient(error.status) || error.code === "rate-limited";
}

async function pause(
  { clock, emit, random = Math.random }: HttpContext,
  request: HttpRequest,
  error: RemoteError,
  attempt: number,
): Promise<void> {
  const method = request.method ?? "GET";
  const url = redactUrl(request.url);
  const delayMs = Math.max(error.retryAfterMs ?? 0, backoffMs(attempt, random));
  emit({ type: "retry", method, url, reason: error.message, delayMs, attempt });
  try {
    await clock.sleep(delayMs, request.signal);
  } catch (reason) {
    throw stoppedError(`${method} ${url}`, reason);
  }
}

function isIdempotent(request: HttpRequest): boolean {
  if (request.idempotent !== undefined) return request.idempotent;
  const method = request.method ?? "GET";
  if (method !== "PUT") return ["GET", "HEAD", "OPTIONS", "DELETE"].includes(method);
  // A conditional write that is sent twice can conflict with itself.
  return !Object.keys(request.headers ?? {}).some((name) => /^if-(none-)?match$/i.test(name));
}

async function readWithTimeout(
  { clock }: HttpContext,
  request: HttpRequest,
  { response: { status }, body }: Answer,
  maxBytes: number,
): Promise<string> {
  if (body === undefined) return "";
  const { method = "GET", url } = request;
  const text = readText(body, { maxBytes, url, status });
  try {
    return await withTimeout(text, { clock, ms: TEXT_TIMEOUT_MS, what: "end of the response" });
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
    body.cancel();
    throw networkError({ method, url: new URL(url), hasResponse: true }, error);
  }
}

/** Sends a request once, following redirects. Returns a response that the caller accepts. */
async function exchange(
  context: HttpContext,
  request: HttpRequest,
  attempt: number,
): Promise<Answer> {
  let step = firstStep(context, request);
  for (let redirects = 0; ; redirects += 1) {
    const sent = await send({ context, request, step, attempt });
    const { response, body } = sent;
    if (response.ok || request.accept?.includes(response.status)) return sent;
    if (!isRedirect(response)) throw await errorOf(sent);
    if (request.redirect === "manual") return sent;
    body?.cancel();
    if (request.redirect === "error") throw unexpectedRedirect(step, response.status);
    if (redirects === MAX_REDIRECTS) throw tooManyRedirects(step, response.status);
    step = nextStep(step, response);
    await request.checkRedirect?.(step.url);
  }
}

function toResponse({ response, body }: Answer): Response {
  const { status, statusText, headers } = response;
  return new Response(body?.toStream() ?? null, { status, statusText, headers });
}

function firstStep(context: HttpContext, request: HttpRequest): RedirectStep {
  const url = parseUrl(request.url);
  const headers: Record<string, string> = { "user-agent": context.userAgent ?? "dewy" };
  for (const [name, value] of Object.entries(request.headers ?? {})) {
    headers[name.toLowerCase()] = value;
  }
  assertSendable(url, headers);
  return { method: request.method ?? "GET", url, headers, body: request.body, trusted: true };
}

function parseUrl(text: string | URL): URL {
  const invalid = (why = ""): ConfigError =>
    new ConfigError(`Invalid URL "${redactUrl(text)}"${why}`);
  if (!URL.canParse(String(text))) throw invalid();
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw invalid(": expected http:// or https://");
  }
  if (url.username !== "" || url.password !== "") throw invalid(": it must not have credentials");
  return url;
}

/** `fetch` refuses such values too, but repeats them in its error. */
function assertSendable(url: URL, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new ConfigError(
        `Cannot send a request to ${redactUrl(url)}: the header ${name} has characters that HTTP does not allow`,
      );
    }
  }
}

interface Attempt {
  context: HttpContext;
  request: HttpRequest;
  step: RedirectStep;
  attempt: number;
}

interface Answer {
  /** Its own body is not to be read. */
  response: Response;
  body: GuardedBody | undefined;
}

interface Sent extends Attempt, Answer {
  /** The headers as sent, including the signature. */
  headers: Readonly<Record<string, string>>;
}

async function send(attempt: Attempt): Promise<Sent> {
  const { context, request, step } = attempt;
  const { signal } = request;
  if (signal?.aborted) throw stopped(step, signal.reason);
  const connection = new AbortController();
  const detach = signal && abortWith(connection, signal);
  const finish = (failed: boolean): void => {
    detach?.();
    if (failed) connection.abort();
  };
  let status: number | undefined;
  const toError = (cause: unknown): DewyError => {
    if (signal?.aborted) return stopped(step, signal.reason);
    if (cause instanceof DewyError) return cause;
    const { service } = context;
    return networkError({ ...step, service, hasResponse: status !== undefined }, cause);
  };

  const startedAt = context.clock.now();
  try {
    const headers = await signedHeaders(request, step);
    const response = await withTimeout(callFetch({ ...attempt, headers }, connection.signal), {
      clock: context.clock,
      ms: request.timeoutMs ?? HEADERS_TIMEOUT_MS,
      what: "response",
      signal: connection.signal,
    });
    status = response.status;
    const body = bodyOf(attempt, response, { signal: connection.signal, toError, finish });
    return { ...attempt, headers, response, body };
  } catch (cause) {
    const error = toError(cause);
    finish(true);
    throw error;
  } finally {
    context.emit({
      type: "request",
      method: step.method,
      url: redactUrl(step.url),
      status,
      durationMs: context.clock.now() - startedAt,
      attempt: attempt.attempt,
      ...(status === 304 && { fromCache: true }),
    });
  }
}

async function signedHeaders(
  request: HttpRequest,
  step: RedirectStep,
): Promise<Readonly<Record<string, string>>> {
  if (request.sign === undefined || !step.trusted) return step.headers;
  const { method, url, headers, body } = step;
  const signed: Record<string, string> = { ...headers };
  for (const [name, value] of Object.entries(await request.sign({ method, url, headers, body }))) {
    signed[name.toLowerCase()] = value;
  }
  assertSendable(url, signed);
  return signed;
}

async function callFetch(
  { context, request, step, headers }: Attempt & Pick<Sent, "headers">,
  signal: AbortSignal,
): Promise<Response> {
  const { method, body, url } = step;
  const init = { method, headers, body, signal };
  const response = await context.fetch(url, { ...init, redirect: "manual" });
  if (response.type !== "opaqueredirect") return response;
  assertSafeToFollow({ ...step, headers });
  if (request.checkRedirect !== undefined && request.followHidden !== true) {
    throw unexpectedRedirect(step, 0);
  }
  return context.fetch(url, { ...init, headers: headersToFollow(headers), redirect: "follow" });
}

function bodyOf(
  { context, request, step }: Attempt,
  response: Response,
  connection: Pick<BodyGuard, "signal" | "toError" | "finish">,
): GuardedBody | undefined {
  if (response.body === null || [101, 204, 205, 304].includes(response.status)) {
    connection.finish(false);
    discardBody(response);
    return undefined;
  }
  return new GuardedBody(response.body, {
    clock: context.clock,
    idleMs: request.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    expected: step.method === "HEAD" ? undefined : contentLength(response),
    ...connection,
  });
}

async function errorOf(sent: Sent): Promise<DewyError> {
  const { context, request, step, headers, response } = sent;
  const body = sent.body === undefined ? "" : await readStart(sent.body, MAX_ERROR_BYTES);
  const failure = {
    method: step.method,
    url: redactUrl(step.url),
    status: response.status,
    headers: response.headers,
    body,
    message: serverMessage(body, secretsOf(headers)),
    retryAfterMs: retryAfterMs(response.headers, context.clock.now()),
  };
  return request.toError?.(failure) ?? failureError(failure);
}

/** The credentials in request headers, which a server may echo. */
function secretsOf(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers)
    .filter(([name]) => /authorization|cookie|token|secret|key|signature/.test(name))
    .flatMap(([, value]) => [value, ...value.split(/[\s,;]+/).filter((part) => part.length >= 16)]);
}

function stopped(step: RedirectStep, reason: unknown): DewyError {
  return stoppedError(`${step.method} ${redactUrl(step.url)}`, reason);
}

function unexpectedRedirect(step: RedirectStep, status: number): RemoteError {
  return redirectError(step, status, "a redirect is not expected here");
}

function tooManyRedirects(step: RedirectStep, status: number): RemoteError {
  return redirectError(step, status, `more than ${MAX_REDIRECTS} redirects`);
}

function redirectError(step: RedirectStep, status: number, why: string): RemoteError {
  const { method } = step;
  const url = redactUrl(step.url);
  const message = `Cannot ${method} ${url}: ${why}`;
  return new RemoteError(message, { method, url, status, retryable: false });
}
