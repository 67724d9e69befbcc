import { bytesToHex, sha256 } from "../core/encoding.ts";
import { type DewyError, type ErrorCode, RemoteError } from "../core/error.ts";
import { redactText } from "../core/secret.ts";
import { CONTRACT_VERSION } from "../registries/https/contract.ts";

const NO_STORE = { "cache-control": "no-store" };
/** If a registry asks for a pause without a length. */
const RETRY_AFTER_MS = 60_000;

/** Thrown for a request that this handler refuses. What an operator's function throws is never sent. */
export class Refusal extends Error {
  readonly response: Response;

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    const body = { schema: CONTRACT_VERSION, error: { code, message } };
    this.response = Response.json(body, { status, headers: { ...NO_STORE, ...headers } });
  }
}

const STATUS: Partial<Record<ErrorCode, number>> = {
  "rate-limited": 429,
  timeout: 504,
  config: 500,
  aborted: 503,
};

/** The response for a failure of a registry: its action and its reason, without secrets. */
export function failureResponse(error: DewyError, secrets: readonly string[]): Response {
  const { code, retryable } = error;
  const status = STATUS[code] ?? 502;
  const pauseMs = error instanceof RemoteError ? error.retryAfterMs : undefined;
  const wait = pauseMs ?? (status === 429 ? RETRY_AFTER_MS : undefined);
  const message = redactText(error.message, secrets);
  return Response.json(
    { schema: CONTRACT_VERSION, error: { code, message, retryable } },
    {
      status,
      headers: {
        ...NO_STORE,
        ...(wait !== undefined && { "retry-after": String(Math.max(1, Math.ceil(wait / 1000))) }),
      },
    },
  );
}

/** A cacheable response with a strong ETag, or 304 if the client has it. */
export async function cachedResponse(
  request: Request,
  body: string,
  headers: Readonly<Record<string, string>>,
): Promise<Response> {
  const etag = `"${bytesToHex((await sha256(body)).subarray(0, 16))}"`;
  const all = { ...headers, etag };
  const known = request.headers.get("if-none-match");
  const isKnown = known
    ?.split(",")
    .some((one) => ["*", etag].includes(one.trim().replace(/^W\//, "")));
  return isKnown
    ? new Response(null, { status: 304, headers: all })
    : new Response(body, { headers: all });
}
