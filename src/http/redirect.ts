import { RemoteError } from "../core/error.ts";
import { isLinkLocalHost, isPrivateHost } from "../core/private_address.ts";
import { redactUrl } from "../core/url.ts";

export interface RedirectStep {
  method: string;
  url: URL;
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>;
  body: string | Uint8Array<ArrayBuffer> | undefined;
  /** Still at the caller's origin: only then is it signed and carries private headers. */
  trusted: boolean;
}

export const MAX_REDIRECTS = 5;

// Headers that reveal nothing about the client. All others, known or not, stay with the origin they were meant for:
// https://fetch.spec.whatwg.org/#http-redirect-fetch drops Authorization, but not x-amz-* and others.
const PUBLIC_HEADERS = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "if-range",
  "range",
  "user-agent",
]);
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export function isRedirect(response: Response): boolean {
  return REDIRECTS.has(response.status) && response.headers.has("location");
}

/**
 * The request that a redirect leads to; at another origin it has lost its private headers.
 * See https://www.rfc-editor.org/rfc/rfc9110#section-15.4.
 */
export function nextStep(step: RedirectStep, response: Response): RedirectStep {
  const refuse = (why: string): RemoteError =>
    new RemoteError(
      `Cannot follow the redirect of ${step.method} ${redactUrl(step.url)} (HTTP ${response.status}): ${why}`,
      { method: step.method, url: redactUrl(step.url), status: response.status, retryable: false },
    );
  const location = response.headers.get("location") ?? "";
  if (!URL.canParse(location, step.url)) throw refuse("its Location is not a URL");
  const url = new URL(location, step.url);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw refuse(`unsupported protocol ${url.protocol}`);
  }
  if (step.url.protocol === "https:" && url.protocol === "http:") {
    throw refuse(`it leads from https to ${redactUrl(url)}, which has no TLS`);
  }
  if (url.username !== "" || url.password !== "") throw refuse("its Location has credentials");

  const sameOrigin = url.origin === step.url.origin;
  const becomesGet =
    (response.status === 303 && step.method !== "HEAD") ||
    ((response.status === 301 || response.status === 302) && step.method === "POST");
  const method = becomesGet ? "GET" : step.method;
  const body = becomesGet ? undefined : step.body;
  if (!sameOrigin && body !== undefined) {
    throw refuse(`it would send the body to another host, ${url.host}`);
  }
  const kept = Object.entries(step.headers).filter(
    ([name]) =>
      (sameOrigin || PUBLIC_HEADERS.has(name)) && !(becomesGet && name.startsWith("content-")),
  );
  return {
    method,
    url,
    headers: Object.fromEntries(kept),
    body,
    trusted: step.trusted && sameOrigin,
  };
}

// What `headersToFollow` may leave out: the request still means the same, or the browser drops it by itself.
const DISPENSABLE = /^(authorization|if-none-match|x-github-.*)$/;

/** Checks a request whose redirect the runtime hides (browsers), so that the runtime has to follow it. */
export function assertSafeToFollow(step: RedirectStep): void {
  const unsafe = Object.keys(step.headers).filter(
    (name) => !PUBLIC_HEADERS.has(name) && !DISPENSABLE.test(name),
  );
  if (unsafe.length === 0 && step.body === undefined) return;
  throw new RemoteError(
    `Cannot follow the redirect of ${step.method} ${redactUrl(step.url)}: this runtime hides its target, ` +
      `and ${unsafe.join(", ") || "the body"} must not reach another host`,
    { method: step.method, url: redactUrl(step.url), retryable: false },
  );
}

// https://fetch.spec.whatwg.org/#cors-safelisted-request-header; dewy sends no other values that it does not allow.
const MAX_SIMPLE_VALUE = 128;
const SIMPLE_HEADERS = new Set(["accept", "accept-language", "range"]);

/**
 * The headers of a request whose redirect a browser follows. At another origin, any other header would start a CORS
 * preflight, which file storages refuse; only `Authorization` does not, since the browser drops it there.
 */
export function headersToFollow(headers: RedirectStep["headers"]): Record<string, string> {
  const kept = Object.entries(headers).filter(
    ([name, { length }]) =>
      name === "authorization" ||
      (SIMPLE_HEADERS.has(name) &&
        length <= MAX_SIMPLE_VALUE &&
        // A part without its condition could be that of another file.
        !(name === "range" && headers["if-range"] !== undefined)),
  );
  return Object.fromEntries(kept);
}

export type ResolveHost = (host: string) => Promise<readonly string[]>;

/**
 * Makes a `checkRedirect` for a registry: a public registry must not redirect into private address space, and none may
 * redirect to a link-local address. Without `resolveHost` (on the edge) only literal addresses are checked.
 */
export function guardRedirects(
  registry: URL,
  resolveHost: ResolveHost | undefined,
): (next: URL) => Promise<void> {
  const hostsOf = async ({ hostname }: URL): Promise<readonly string[]> => {
    // The proxy may know a name that cannot be looked up here.
    const addresses = (await resolveHost?.(hostname).catch(() => [])) ?? [];
    return [hostname, ...addresses];
  };
  return async (next) => {
    if (next.hostname === registry.hostname) return;
    const hosts = await hostsOf(next);
    const refuse = (what: string): RemoteError =>
      new RemoteError(`Cannot follow the redirect of ${registry.host} to ${next.host}: ${what}`, {
        retryable: false,
      });
    if (hosts.some(isLinkLocalHost)) throw refuse("it is a link-local address");
    if (!hosts.some(isPrivateHost) || (await hostsOf(registry)).some(isPrivateHost)) return;
    throw refuse("it is inside the private network, and the registry is not");
  };
}
