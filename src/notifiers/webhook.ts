/**
 * What notifiers that post JSON to a secret URL have in common: reading the URL, sending, and what the answers mean.
 *
 * @module
 */
import { ConfigError, CredentialError, type DewyError, RemoteError } from "../core/error.ts";
import { nearest } from "../core/nearest.ts";
import { redactText } from "../core/secret.ts";
import { type OptionSpec, type QueryReader, readQuery, type SplitUrl } from "../core/url.ts";
import { discardBody } from "../http/body.ts";
import type { HttpClient, HttpRequest } from "../http/client.ts";
import type { HttpFailure } from "../http/errors.ts";
import { describePause } from "../http/retry.ts";
import type { NotifierContext } from "./driver.ts";

export interface Webhook {
  /** With the keys of the query that are not dewy's. */
  target: URL;
  /** dewy's own. */
  options: QueryReader;
}

/** What a driver says about the URLs of its webhooks. */
export interface WebhookForm {
  syntax: string;
  options: readonly OptionSpec[];
  /** Whether the service has keys of its own in the query. */
  hasOwnKeys?: boolean;
  /** Returns what is wrong with the URL, without showing it. */
  problem?(target: URL): string | undefined;
}

/** Reads `discord+https://host/path?title=app`. Errors show only the host: the rest may be secret. */
export function readWebhook(url: SplitUrl, form: WebhookForm): Webhook {
  const names = form.options.map(({ name }) => name);
  const origin = `${url.scheme}://${url.host.replace(/^.*@/s, "")}`;
  const invalid = (why: string): ConfigError =>
    new ConfigError(`Invalid value for --notifier "${origin}/…": ${why}: ${form.syntax}`);

  if (url.host.includes("@")) throw invalid("credentials do not belong in front of the host");
  const [foreign, own] = partition([...url.query], ([key]) => !names.includes(key));
  for (const [key] of form.hasOwnKeys === true ? foreign : []) {
    const near = key.length < 4 ? undefined : nearest(key, names);
    if (near !== undefined) throw invalid(`unknown option "${key}"; did you mean ${near}?`);
  }
  const query = form.hasOwnKeys === true ? new Map(own) : url.query;
  const options = readQuery({ ...url, text: `${origin}/…`, query }, form.options, "--notifier");

  const text = `${url.scheme.replace(/^.*\+/, "")}://${url.host}${url.path}${foreignQuery(url, names)}`;
  if (url.host === "" || !URL.canParse(text)) throw invalid("it is not a URL");
  const target = new URL(text);
  const problem = form.problem?.(target);
  if (problem !== undefined) throw invalid(problem);
  return { target, options };
}

/** Byte by byte as it was: the service may have signed it. */
function foreignQuery({ text }: SplitUrl, names: readonly string[]): string {
  const [, query = ""] = /\?(.*)$/s.exec(text) ?? [];
  const [foreign] = partition(query.split("&"), (pair) => {
    const [key = ""] = pair.split("=");
    return pair !== "" && !names.includes(decodeURIComponent(key.replaceAll("+", " ")));
  });
  return foreign.length === 0 ? "" : `?${foreign.join("&")}`;
}

function partition<T>(all: readonly T[], test: (one: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
}

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

/** Posts JSON, or JSON that is text already, once. Any 2xx means that the service has the message. */
export type JsonPoster = (
  body: object | string,
  signal: AbortSignal,
  headers?: Readonly<Record<string, string>>,
) => Promise<void>;

export function jsonPoster(service: Service, context: NotifierContext): JsonPoster {
  const { name, target, headers } = service;
  let http: Promise<HttpClient> | undefined;
  // The client knows the origin only, so that no error and no event can show the secret path.
  const fetch: typeof globalThis.fetch = (_, init) => context.fetch(target, init);
  return async (body, signal, more) => {
    http ??= import("../http/client.ts").then(({ createHttpClient }) =>
      createHttpClient({ ...context, service: name, retries: 0, fetch }),
    );
    const request: HttpRequest = {
      method: "POST",
      url: `${target.origin}/`,
      headers: { "content-type": "application/json; charset=utf-8", ...headers, ...more },
      body: typeof body === "string" ? body : JSON.stringify(body),
      redirect: "manual",
      signal,
      toError: (failure) => refusal(service, failure),
    };
    const client = await http;
    const response = await client.send(request).catch((error: unknown) => {
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
  if (!(error instanceof RemoteError) || error.status !== undefined || error.retryable)
    return error;
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
  if (REFUSED_URL.has(status) || refusesAll?.(failure.body))
    return new CredentialError(`${what}; ${advice}`);
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
