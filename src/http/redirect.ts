import { RemoteError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";

/** One request on its way, with everything that a redirect can change. */
export interface Hop {
  /** The HTTP method. */
  method: string;
  /** The address. */
  url: URL;
  /** Header names in lower case. */
  headers: Readonly<Record<string, string>>;
  /** The body, where there is one. */
  body: string | Uint8Array<ArrayBuffer> | undefined;
  /** Still at the origin that the caller named: only then is it signed and carries private headers. */
  trusted: boolean;
}

/** The longest chain of redirects that is followed. */
export const MAX_REDIRECTS = 5;

// What says nothing about who asks. All else, known or not, stays with the origin it was meant for:
// https://fetch.spec.whatwg.org/#http-redirect-fetch drops Authorization, but not x-amz-* or others.
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

/** @returns whether an answer says to look elsewhere, and where. */
export function isRedirect(response: Response): boolean {
  return REDIRECTS.has(response.status) && response.headers.has("location");
}

/**
 * The request that a redirect asks for. See https://www.rfc-editor.org/rfc/rfc9110#section-15.4.
 *
 * @param hop the request that was answered.
 * @param response the redirect.
 * @returns the next request; at another origin it has lost its private headers.
 * @throws RemoteError when the redirect gives up TLS, leaves HTTP, or would hand a body to another origin.
 */
export function nextHop(hop: Hop, response: Response): Hop {
  const refuse = (why: string): RemoteError =>
    new RemoteError(
      `Cannot follow the redirect of ${hop.method} ${redactUrl(hop.url)} (HTTP ${response.status}): ${why}`,
      { method: hop.method, url: redactUrl(hop.url), status: response.status, retryable: false },
    );
  const location = response.headers.get("location") ?? "";
  if (!URL.canParse(location, hop.url)) throw refuse("its Location is no address");
  const url = new URL(location, hop.url);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw refuse(`${url.protocol} is not a protocol dewy follows`);
  }
  if (hop.url.protocol === "https:" && url.protocol === "http:") {
    throw refuse(`it leads from https to ${redactUrl(url)}, which anyone on the way could change`);
  }
  if (url.username !== "" || url.password !== "") throw refuse("its Location carries credentials");

  const sameOrigin = url.origin === hop.url.origin;
  const becomesGet =
    (response.status === 303 && hop.method !== "HEAD") ||
    ((response.status === 301 || response.status === 302) && hop.method === "POST");
  const method = becomesGet ? "GET" : hop.method;
  const body = becomesGet ? undefined : hop.body;
  if (!sameOrigin && body !== undefined) {
    throw refuse(`it would hand the body to another host, ${url.host}`);
  }
  const kept = Object.entries(hop.headers).filter(
    ([name]) =>
      (sameOrigin || PUBLIC_HEADERS.has(name)) && !(becomesGet && name.startsWith("content-")),
  );
  return {
    method,
    url,
    headers: Object.fromEntries(kept),
    body,
    trusted: hop.trusted && sameOrigin,
  };
}

/**
 * Where a runtime hides redirects from us (browsers), it has to follow them itself. `fetch` then drops
 * `Authorization` at another origin, but no other header.
 *
 * @param hop the request that was answered by a hidden redirect.
 * @throws RemoteError when it has a body or headers that could reach another origin.
 */
export function assertSafeToFollow(hop: Hop): void {
  const unsafe = Object.keys(hop.headers).filter(
    (name) =>
      name !== "authorization" && !PUBLIC_HEADERS.has(name) && !name.startsWith("x-github-"),
  );
  if (unsafe.length === 0 && hop.body === undefined) return;
  throw new RemoteError(
    `Cannot follow the redirect of ${hop.method} ${redactUrl(hop.url)}: this runtime hides where it leads, ` +
      `and ${unsafe.join(", ") || "the body"} must not reach another host`,
    { method: hop.method, url: redactUrl(hop.url), retryable: false },
  );
}
