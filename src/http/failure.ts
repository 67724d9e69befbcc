import {
  ConflictError,
  CredentialError,
  type DewyError,
  NotFoundError,
  RemoteError,
} from "../core/error.ts";
import { redactText } from "../core/secret.ts";
import { describePause } from "./retry.ts";

/** An answer that is an error unless somebody knows better. */
export interface HttpFailure {
  /** The HTTP method. */
  method: string;
  /** The address, redacted. */
  url: string;
  /** The HTTP status. */
  status: number;
  /** The answer's headers. */
  headers: Headers;
  /** The start of the answer's body, as it came: never print it. */
  body: string;
  /** The server's own words in one short line without secrets; may be empty. */
  message: string;
  /** What `Retry-After` asked for, in milliseconds. */
  retryAfterMs: number | undefined;
}

/**
 * Translates an answer to an error of ours.
 *
 * @param failure the answer.
 * @returns the error to throw.
 */
export function failureError(failure: HttpFailure): DewyError {
  const { method, url, status, retryAfterMs } = failure;
  const said = failure.message === "" ? "" : `: ${failure.message}`;
  const what = `Cannot ${method} ${url}: HTTP ${status}${said}`;
  if (status === 401)
    return new CredentialError(`${what}; the credentials are missing, wrong or expired`);
  if (status === 403) return new CredentialError(`${what}; the credentials do not allow this`);
  if (status === 404)
    return new NotFoundError(`${what}; it is not there, or the credentials do not show it`);
  if (status === 409 || status === 412)
    return new ConflictError(`${what}; somebody else changed it first`);
  const retryable = isTransient(status);
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  const then = retryAfterMs === undefined ? "" : `; ${describePause(retryAfterMs)}`;
  return new RemoteError(`${what}${then}`, {
    method,
    url,
    status,
    retryable,
    ...wait,
    ...(status === 429 ? { code: "rate-limited" as const } : {}),
  });
}

/** @returns whether the same request may be answered better soon. */
export function isTransient(status: number): boolean {
  return [429, 500, 502, 503, 504].includes(status);
}

const MAX_MESSAGE = 200;

/**
 * The server's own words: `message` of a JSON body, `Code` and `Message` of an XML one, else the text.
 *
 * @param body the start of the body.
 * @param secrets texts that must not appear.
 * @returns one line of at most 200 characters, without markup and secrets.
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
    const { message, error_description, error }: Spoken = value;
    return [message, error_description, error].find(
      (candidate): candidate is string => typeof candidate === "string",
    );
  } catch {
    return undefined;
  }
}

interface Spoken {
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
