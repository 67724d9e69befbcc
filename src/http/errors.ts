import {
  ConfigError,
  ConflictError,
  CredentialError,
  type DewyError,
  NotFoundError,
  RemoteError,
} from "../core/error.ts";
import { redactText } from "../core/secret.ts";
import { TimeoutError } from "../core/timeout.ts";
import { redactUrl } from "../core/url.ts";
import { networkCause } from "./network_cause.ts";
import { describePause } from "./retry.ts";

export interface HttpFailure {
  method: string;
  /** Redacted. */
  url: string;
  status: number;
  headers: Headers;
  /** The start of the body, unredacted: never print it. */
  body: string;
  /** The server's own message on one line, without secrets; may be empty. */
  message: string;
  /** From `Retry-After`, in milliseconds. */
  retryAfterMs: number | undefined;
}

export function failureError(failure: HttpFailure): DewyError {
  const { method, url, status, retryAfterMs } = failure;
  const what = describeFailure(failure);
  switch (status) {
    case 401:
      return new CredentialError(`${what}; the credentials are missing, wrong or expired`);
    case 403:
      return new CredentialError(`${what}; the credentials do not allow this`);
    case 404:
      return new NotFoundError(`${what}; it does not exist, or the credentials do not show it`);
    case 409:
    case 412:
      return new ConflictError(`${what}; another client changed it first`);
    default: {
      const pause = retryAfterMs === undefined ? "" : `; ${describePause(retryAfterMs)}`;
      return new RemoteError(`${what}${pause}`, {
        method,
        url,
        status,
        retryable: isTransient(status),
        retryAfterMs,
        code: status === 429 ? "rate-limited" : "remote",
      });
    }
  }
}

/** `Cannot GET https://…: HTTP 404: Not Found` */
export function describeFailure({ method, url, status, message }: HttpFailure): string {
  return `Cannot ${method} ${url}: HTTP ${status}${message === "" ? "" : `: ${message}`}`;
}

export function isTransient(status: number): boolean {
  return [429, 500, 502, 503, 504].includes(status);
}

export interface FailedCall {
  method: string;
  url: URL;
  /** The name of the service: `Amazon S3`. */
  service?: string | undefined;
  /** Whether the headers had arrived, so that only the body failed. */
  hasResponse: boolean;
}

/**
 * Converts what `fetch` or a body threw into a `RemoteError`. It is not retryable if the certificate is not trusted or
 * dewy itself refused the address.
 */
export function networkError(call: FailedCall, cause: unknown): RemoteError {
  const { method, url } = call;
  const request = `${method} ${redactUrl(url)}`;
  const peer = call.service === undefined ? url.host : `${call.service} at ${url.host}`;
  const failed = call.hasResponse ? `Cannot finish ${request}` : `Cannot reach ${peer}`;
  const parts = { method, url: redactUrl(url), cause };
  if (cause instanceof TimeoutError) {
    return new RemoteError(`${failed}: ${cause.message}`, { ...parts, code: "timeout" });
  }
  const refusal = refusalIn(cause);
  if (refusal !== undefined) {
    const message = `Cannot ${request}: ${refusal.message}`;
    return new RemoteError(message, { ...parts, retryable: false });
  }
  const { reason, retryable } = networkCause(cause);
  return new RemoteError(`${failed}: ${reason}`, { ...parts, retryable });
}

/** Finds dewy's own refusal of an address inside the runtime's error. */
export function refusalIn(cause: unknown): ConfigError | undefined {
  for (let error = cause; error instanceof Error; error = error.cause) {
    if (error instanceof ConfigError) return error;
  }
  return undefined;
}

const MAX_MESSAGE = 200;

/**
 * The server's own message: `message` of a JSON body, `Code` and `Message` of an XML one, else the text. One line of at
 * most 200 characters, without markup and secrets.
 */
export function serverMessage(body: string, secrets: readonly string[]): string {
  const text =
    jsonMessage(body) ??
    xmlMessage(body) ??
    body.replace(/<(style|script|head)\b[\s\S]*?<\/\1>|<[^>]*>/gi, " ");
  const line = redactText(text, secrets)
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim();
  return line.length <= MAX_MESSAGE ? line : `${line.slice(0, MAX_MESSAGE - 1)}…`;
}

function jsonMessage(body: string): string | undefined {
  if (!body.trimStart().startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== "object" || value === null) return undefined;
    const { message, error_description, error }: JsonError = value;
    const nested = typeof error === "object" ? (error as JsonError | null)?.message : error;
    return [message, error_description, nested].find(
      (candidate): candidate is string => typeof candidate === "string",
    );
  } catch {
    return undefined;
  }
}

interface JsonError {
  message?: unknown;
  error_description?: unknown;
  error?: unknown;
}

function xmlMessage(body: string): string | undefined {
  const code = /<Code>([^<]*)<\/Code>/.exec(body)?.[1];
  const message = /<Message>([^<]*)<\/Message>/.exec(body)?.[1];
  if (code === undefined && message === undefined) return undefined;
  return [code, message]
    .filter((part) => part !== undefined && part !== "")
    .map(decodeEntities)
    .join(": ");
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

function decodeEntities(text = ""): string {
  return text.replace(
    /&(?:#(x[0-9a-f]{1,6}|\d{1,7})|(\w+));/gi,
    (entity, code?: string, name = "") => {
      if (code === undefined) return ENTITIES.get(name) ?? entity;
      const point = Number(code.replace(/^x/i, "0x"));
      return point <= 0x10ffff ? String.fromCodePoint(point) : entity;
    },
  );
}
