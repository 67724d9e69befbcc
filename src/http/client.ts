/**
 * HTTP for every remote peer: timeouts, bounded retries, redirects that leak nothing, errors of ours.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { type DewyError, RemoteError } from "../core/error.ts";
import type { EventSink } from "../core/event.ts";
import { stoppedError } from "../core/stopped.ts";
import { redactUrl } from "../core/url.ts";
import { exchange, type Transport } from "./attempt.ts";
import { readText, within } from "./body.ts";
import type { HttpFailure } from "./failure.ts";
import { isTransient } from "./failure.ts";
import { parseJson } from "./json.ts";
import { Late, networkError } from "./network.ts";
import { backoffMs, MAX_RETRY_AFTER_MS } from "./retry.ts";

export type { HttpFailure } from "./failure.ts";

/** A request as it is about to leave, for the one who signs it. */
export interface SignableRequest {
  /** The HTTP method. */
  method: string;
  /** The address. */
  url: URL;
  /** The headers so far, names in lower case. */
  headers: Readonly<Record<string, string>>;
  /** The body, where there is one. */
  body: string | Uint8Array<ArrayBuffer> | undefined;
}

/** One question to a server. */
export interface HttpRequest {
  /** The address; without user name and password. */
  url: string | URL;
  /** The method; `GET` unless told. */
  method?: string;
  /** Headers. */
  headers?: Readonly<Record<string, string>>;
  /** The body; in memory, so that it can be sent again. */
  body?: string | Uint8Array<ArrayBuffer>;
  /** Ends the call, and the stream of the answer. */
  signal?: AbortSignal | undefined;
  /** Milliseconds until the answer's headers must be there; 30,000 unless told. */
  timeoutMs?: number;
  /** Milliseconds between two chunks of the answer's body; 60,000 unless told. */
  idleTimeoutMs?: number;
  /** Statuses besides 2xx that are returned instead of thrown. */
  accept?: readonly number[];
  /** Bytes that `text` and `json` read at most; 32 MiB unless told. */
  maxBytes?: number;
  /**
   * Whether the request may be sent again when nobody knows what became of it. Unless told: GET, HEAD, OPTIONS,
   * DELETE and an unconditional PUT.
   */
  idempotent?: boolean;
  /** What to do with redirects: `follow` (at most 5) unless told; `manual` returns them, `error` throws. */
  redirect?: "follow" | "manual" | "error";
  /** Looks at where a redirect leads before it is followed; throws a DewyError to refuse. */
  checkRedirect?: ((next: URL) => void | Promise<void>) | undefined;
  /** Whether a redirect that the runtime hides (browsers) is followed although it cannot be checked. Defaults to false. */
  followHidden?: boolean;
  /** Headers that are computed anew for every attempt, such as a signature; never sent to another origin. */
  sign?: (request: SignableRequest) => Promise<Readonly<Record<string, string>>>;
  /** A better error for an answer that will be thrown; what it returns decides about retries, too. */
  toError?: (failure: HttpFailure) => DewyError | undefined;
}

/** An answer that was read to its end. */
export interface HttpText {
  /** The HTTP status. */
  status: number;
  /** The answer's headers. */
  headers: Headers;
  /** The body, decoded as UTF-8. */
  text: string;
}

/** Asks servers. */
export interface HttpClient {
  /**
   * Asks, and returns the answer as soon as its headers are there. The body streams; it fails with a RemoteError
   * when it stalls or ends early, with an AbortedError when the signal ends it. Read it or cancel it.
   */
  send(request: HttpRequest): Promise<Response>;
  /** Asks, and reads the answer as text, at most `maxBytes` (default: the request's, else 32 MiB). */
  text(request: HttpRequest, maxBytes?: number): Promise<HttpText>;
  /** Asks, and reads the answer as JSON. */
  json(request: HttpRequest): Promise<unknown>;
}

/** What the client needs from the world. */
export interface HttpIo {
  /** The network. */
  fetch: typeof globalThis.fetch;
  /** Time. */
  clock: Clock;
  /** Hears of requests and retries. */
  emit: EventSink;
  /** The `User-Agent`; `dewy` unless told. */
  userAgent?: string;
  /** Attempts after the first; 3 unless told. */
  retries?: number;
  /** A number from 0 up to 1, for jitter; `Math.random` unless told. */
  random?: () => number;
}

const RETRIES = 3;
const MAX_TEXT_BYTES = 32 * 1024 * 1024;
/** A text that trickles in without ever pausing has to end, too. */
const MAX_TEXT_MS = 300_000;

/**
 * Makes a client.
 *
 * Every failure is a DewyError: 401 and 403 CredentialError, 404 NotFoundError, 409 and 412 ConflictError, all else
 * RemoteError, whose code is `rate-limited` for 429 and `timeout` for a silent server; the caller's signal gives an
 * AbortedError. 429, 500, 502, 503, 504, resets and timeouts of idempotent requests are tried again with growing,
 * jittered pauses, and `Retry-After` is obeyed: up to 30 s here, longer by the caller (`RemoteError.retryAfterMs`).
 *
 * @param io the network, time and who listens.
 * @returns the client; it keeps no state between calls.
 */
export function createHttpClient(io: HttpIo): HttpClient {
  const transport: Transport = { ...io, userAgent: io.userAgent ?? "dewy" };
  const text = (request: HttpRequest, maxBytes?: number): Promise<HttpText> =>
    withRetries(io, request, async (attempt) => {
      const response = await exchange(transport, request, attempt);
      const limit = maxBytes ?? request.maxBytes ?? MAX_TEXT_BYTES;
      const body = await readInTime(io.clock, request, response, limit);
      return { status: response.status, headers: response.headers, text: body };
    });
  return {
    send: (request) => withRetries(io, request, (attempt) => exchange(transport, request, attempt)),
    text,
    json: async (request) =>
      parseJson((await text(request)).text, request.url, "is this the right address?"),
  };
}

async function withRetries<T>(
  io: HttpIo,
  request: HttpRequest,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  const attempts = isIdempotent(request) ? 1 + (io.retries ?? RETRIES) : 1;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work(attempt);
    } catch (error) {
      if (attempt >= attempts || request.signal?.aborted) throw error;
      if (!(error instanceof RemoteError) || !canRetry(error)) throw error;
      await pause(io, request, error, attempt);
    }
  }
}

/** Resets, timeouts and what a server calls temporary; not a wait that is too long to sleep through. */
function canRetry(error: RemoteError): boolean {
  if (!error.retryable || (error.retryAfterMs ?? 0) > MAX_RETRY_AFTER_MS) return false;
  return error.status === undefined || isTransient(error.status) || error.code === "rate-limited";
}

async function pause(
  io: HttpIo,
  request: HttpRequest,
  error: RemoteError,
  attempt: number,
): Promise<void> {
  const method = request.method ?? "GET";
  const url = redactUrl(request.url);
  const delayMs = Math.max(error.retryAfterMs ?? 0, backoffMs(attempt, io.random ?? Math.random));
  io.emit({ type: "retry", method, url, reason: error.message, delayMs, attempt });
  try {
    await io.clock.sleep(delayMs, request.signal);
  } catch (reason) {
    throw stoppedError(`${method} ${url}`, reason);
  }
}

function isIdempotent(request: HttpRequest): boolean {
  if (request.idempotent !== undefined) return request.idempotent;
  const method = request.method ?? "GET";
  if (method !== "PUT") return ["GET", "HEAD", "OPTIONS", "DELETE"].includes(method);
  // A conditional write that is sent twice can lose against itself.
  return !Object.keys(request.headers ?? {}).some((name) => /^if-(none-)?match$/i.test(name));
}

async function readInTime(
  clock: Clock,
  request: HttpRequest,
  response: Response,
  maxBytes: number,
): Promise<string> {
  const url = new URL(request.url);
  const overdue = new AbortController();
  const text = readText(response, maxBytes, url, overdue.signal);
  try {
    return await within(clock, MAX_TEXT_MS, "end of the answer", text);
  } catch (error) {
    if (!(error instanceof Late)) throw error;
    overdue.abort();
    throw networkError(request.method ?? "GET", url, error);
  }
}
