import type { Clock } from "../core/clock.ts";
import { ConfigError, DewyError, RemoteError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { stoppedError } from "../core/stopped.ts";
import { redactUrl } from "../core/url.ts";
import { type BodyGuard, expectedLength, guardBody, readStart, within } from "./body.ts";
import type { HttpRequest } from "./client.ts";
import { failureError, serverMessage } from "./failure.ts";
import { networkError } from "./network.ts";
import { assertSafeToFollow, type Hop, isRedirect, MAX_REDIRECTS, nextHop } from "./redirect.ts";
import { retryAfterMs } from "./retry.ts";

/** What one attempt needs from the world. */
export interface Transport {
  /** The network. */
  fetch: typeof globalThis.fetch;
  /** Time. */
  clock: Clock;
  /** Hears of every request. */
  emit: EventSink;
  /** The `User-Agent`. */
  userAgent: string;
}

const HEADERS_TIMEOUT_MS = 30_000;
const IDLE_TIMEOUT_MS = 60_000;
const MAX_ERROR_BYTES = 64 * 1024;

/**
 * Asks once, following redirects, and returns an answer that the caller wants.
 *
 * @param io the world.
 * @param request the question.
 * @param attempt counts the attempts, from 1 on.
 * @returns the answer, its body guarded.
 * @throws DewyError for everything else.
 */
export async function exchange(
  io: Transport,
  request: HttpRequest,
  attempt: number,
): Promise<Response> {
  let hop = firstHop(io, request);
  for (let redirects = 0; ; redirects += 1) {
    const { response, headers } = await ask(io, request, hop, attempt);
    if (response.ok || request.accept?.includes(response.status)) return response;
    if (!isRedirect(response)) throw await failure(io, request, hop, headers, response);
    if (request.redirect === "manual") return response;
    response.body?.cancel().catch(() => {});
    if (request.redirect === "error" || redirects === MAX_REDIRECTS) {
      throw unwantedRedirect(hop, response.status, request.redirect === "error");
    }
    hop = nextHop(hop, response);
    await request.checkRedirect?.(hop.url);
  }
}

function firstHop(io: Transport, request: HttpRequest): Hop {
  const url = readUrl(request.url);
  const headers: Record<string, string> = { "user-agent": io.userAgent };
  for (const [name, value] of Object.entries(request.headers ?? {})) {
    headers[name.toLowerCase()] = value;
  }
  assertSendable(url, headers);
  return { method: request.method ?? "GET", url, headers, body: request.body, trusted: true };
}

function readUrl(text: string | URL): URL {
  const shown = redactUrl(text);
  if (!URL.canParse(String(text))) throw new ConfigError(`Cannot ask "${shown}": it is no address`);
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new ConfigError(`Cannot ask "${shown}": it is no http:// or https:// address`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new ConfigError(`Cannot ask "${shown}": credentials do not belong in an address`);
  }
  return url;
}

/** `fetch` refuses such values too, but repeats them in its error. */
function assertSendable(url: URL, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new ConfigError(
        `Cannot ask ${redactUrl(url)}: the header ${name} has characters that HTTP does not allow`,
      );
    }
  }
}

interface Answer {
  /** The answer, its body guarded. */
  response: Response;
  /** What was really sent, signature included. */
  headers: Readonly<Record<string, string>>;
}

async function ask(
  io: Transport,
  request: HttpRequest,
  hop: Hop,
  attempt: number,
): Promise<Answer> {
  if (request.signal?.aborted) throw stopped(hop, request.signal.reason);
  const connection = new AbortController();
  const hangUp = (): void => connection.abort(request.signal?.reason);
  const finish = (failed: boolean): void => {
    request.signal?.removeEventListener("abort", hangUp);
    if (failed) connection.abort();
  };
  request.signal?.addEventListener("abort", hangUp, { once: true });
  const translate = (error: unknown): DewyError => {
    if (request.signal?.aborted) return stopped(hop, request.signal.reason);
    return error instanceof DewyError ? error : networkError(hop.method, hop.url, error);
  };

  const startedAt = io.clock.now();
  let status: number | undefined;
  try {
    const headers = await sign(request, hop);
    const raw = await within(
      io.clock,
      request.timeoutMs ?? HEADERS_TIMEOUT_MS,
      "answer",
      callFetch(io, request, hop, headers, connection.signal),
      connection.signal,
    );
    status = raw.status;
    return {
      headers,
      response: guarded(io, request, hop, raw, { signal: connection.signal, translate, finish }),
    };
  } catch (error) {
    const translated = translate(error);
    finish(true);
    throw translated;
  } finally {
    const durationMs = io.clock.now() - startedAt;
    const { method } = hop;
    const fromCache = status === 304 ? { fromCache: true } : {};
    io.emit({
      type: "request",
      method,
      url: redactUrl(hop.url),
      status,
      durationMs,
      attempt,
      ...fromCache,
    });
  }
}

async function sign(request: HttpRequest, hop: Hop): Promise<Readonly<Record<string, string>>> {
  if (request.sign === undefined || !hop.trusted) return hop.headers;
  const { method, url, headers, body } = hop;
  const headersToAdd = await request.sign({ method, url, headers, body });
  const signed: Record<string, string> = { ...headers };
  for (const [name, value] of Object.entries(headersToAdd)) signed[name.toLowerCase()] = value;
  assertSendable(url, signed);
  return signed;
}

async function callFetch(
  io: Transport,
  request: HttpRequest,
  hop: Hop,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Response> {
  const init = {
    method: hop.method,
    headers,
    signal,
    ...(hop.body === undefined ? {} : { body: hop.body }),
  };
  const response = await io.fetch(hop.url, { ...init, redirect: "manual" });
  if (response.type !== "opaqueredirect") return response;
  assertSafeToFollow({ ...hop, headers });
  if (request.checkRedirect !== undefined && request.followHidden !== true) {
    throw unwantedRedirect(hop, 0, true);
  }
  return io.fetch(hop.url, { ...init, redirect: "follow" });
}

function guarded(
  io: Transport,
  request: HttpRequest,
  hop: Hop,
  raw: Response,
  connection: Pick<BodyGuard, "signal" | "translate" | "finish">,
): Response {
  const { status, statusText, headers } = raw;
  if (raw.body === null || [101, 204, 205, 304].includes(status)) {
    connection.finish(false);
    raw.body?.cancel().catch(() => {});
    return new Response(null, { status, statusText, headers });
  }
  const body = guardBody(raw.body, {
    clock: io.clock,
    idleMs: request.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    expected: expectedLength(hop.method, raw),
    ...connection,
  });
  return new Response(body, { status, statusText, headers });
}

async function failure(
  io: Transport,
  request: HttpRequest,
  hop: Hop,
  headers: Readonly<Record<string, string>>,
  response: Response,
): Promise<DewyError> {
  const body = await readStart(response, MAX_ERROR_BYTES);
  const answer = {
    method: hop.method,
    url: redactUrl(hop.url),
    status: response.status,
    headers: response.headers,
    body,
    message: serverMessage(body, secretsOf(headers)),
    retryAfterMs: retryAfterMs(response.headers, io.clock.now()),
  };
  return request.toError?.(answer) ?? failureError(answer);
}

/** What we sent as credentials must not come back in an error. */
function secretsOf(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers)
    .filter(([name]) => /authorization|cookie|token|secret|key|signature/.test(name))
    .flatMap(([, value]) => [value, ...value.split(/[\s,;]+/).filter((part) => part.length >= 16)]);
}

function stopped(hop: Hop, reason: unknown): DewyError {
  return stoppedError(`${hop.method} ${redactUrl(hop.url)}`, reason);
}

function unwantedRedirect(hop: Hop, status: number, any: boolean): RemoteError {
  const why = any ? "a redirect is not expected here" : `more than ${MAX_REDIRECTS} redirects`;
  const url = redactUrl(hop.url);
  return new RemoteError(`Cannot ${hop.method} ${url}: ${why}`, {
    method: hop.method,
    url,
    status,
    retryable: false,
  });
}
