/**
 * The part of GitHub's REST API that dewy needs, with conditional requests and a watch on the rate limit.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import {
  ConfigError,
  CredentialError,
  type DewyError,
  NotFoundError,
  RemoteError,
} from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { redactUrl } from "../../core/url.ts";
import { createHttpClient, type HttpFailure, type HttpRequest } from "../../http/client.ts";
import { parseJson } from "../../http/json.ts";
import { nextLink } from "../../http/link.ts";
import { openRange, type RangeOptions } from "../../http/range.ts";
import { guardRedirects, type ResolveHost } from "../../http/redirect.ts";
import { type GitHubAuth, githubAuth } from "./auth.ts";
import { type RateLimit, watchRateLimit } from "./rate_limit.ts";
import { parseWire, type Schema } from "./schema.ts";

/** What the client needs from the world. */
export interface GitHubIo {
  /** Environment variables: credentials and the address of the API. */
  env: Readonly<Record<string, string | undefined>>;
  /** The network. */
  fetch: typeof globalThis.fetch;
  /** Time. */
  clock: Clock;
  /** Hears of requests, retries and the rate limit. */
  emit: EventSink;
  /** Given in code; it takes precedence over the environment. */
  token?: string | undefined;
  /** Reads the key file of a GitHub App; absent on the edge. */
  readTextFile?: (path: string) => Promise<string>;
  /** Looks up the addresses of a host; absent on the edge. */
  resolveHost?: ResolveHost;
}

/** How to ask for something. */
export interface GitHubGetOptions {
  /** Statuses that mean "there is nothing", and give `undefined`. */
  missing?: readonly number[];
  /** Ends the call. */
  signal?: AbortSignal | undefined;
}

/** All items of a list. */
export interface GitHubList<T> {
  /** The items, in GitHub's order. */
  items: T[];
  /** How many pages they came on. */
  pages: number;
}

/** Asks GitHub. */
export interface GitHubClient {
  /** Who dewy is. */
  readonly auth: Pick<GitHubAuth, "kind" | "source">;
  /** What may still be asked; `undefined` before the first answer, and on servers without limits. */
  readonly limit: RateLimit | undefined;
  /** Gets one thing; unchanged since the last time, it costs no rate limit and comes from memory. */
  get<T>(path: string, schema: Schema<T>, options?: GitHubGetOptions): Promise<T | undefined>;
  /** Gets a list, page after page; a page that fails fails the whole. */
  list<T>(
    path: string,
    schema: Schema<T[]>,
    options?: GitHubGetOptions,
  ): Promise<GitHubList<T> | undefined>;
  /** Streams an asset's bytes, or a part of them. */
  download(
    path: string,
    range: RangeOptions,
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>>;
  /** Adds a text file to a release; one that is there already counts as done. */
  upload(uploadUrl: string, name: string, text: string, signal?: AbortSignal): Promise<void>;
}

const DEFAULT_URL = "https://api.github.com";
// https://docs.github.com/rest/about-the-rest-api/api-versions
const HEADERS = { accept: "application/vnd.github+json", "x-github-api-version": "2022-11-28" };
/** Answers that are remembered; GitHub ends its lists at 100 pages of 100. */
const MAX_REMEMBERED = 500;
const MAX_PAGES = 1_000;
/** All tags come on one page: some 300 bytes each, for more tags than any known repository has. */
const MAX_PAGE_BYTES = 128 * 1024 * 1024;

interface Page<T> {
  value: T;
  next: URL | undefined;
}

/**
 * Makes a client for one GitHub.
 *
 * @param io the world; `GITHUB_API_URL` or else `GITHUB_ENDPOINT` names an Enterprise server.
 * @returns the client; nothing is asked yet.
 * @throws ConfigError when address or credentials in the environment cannot be used.
 */
export function createGitHubClient(io: GitHubIo): GitHubClient {
  const baseUrl = readBaseUrl(io.env);
  const http = createHttpClient(io);
  const { readTextFile, token } = io;
  const auth = githubAuth({
    env: io.env,
    clock: io.clock,
    http,
    baseUrl,
    token,
    ...(readTextFile === undefined ? {} : { readTextFile }),
  });
  const checkRedirect = guardRedirects(new URL(baseUrl), io.resolveHost);
  const rate = watchRateLimit(new URL(baseUrl).host, io);
  const remembered = new Map<string, { etag: string; page: Page<unknown> }>();

  /** Sends with a token; an App's token that was revoked is replaced once. */
  async function authorized<T>(
    request: HttpRequest,
    send: (r: HttpRequest) => Promise<T>,
  ): Promise<T> {
    rate.assertOpen();
    let rejected = false;
    const toError = (failure: HttpFailure): DewyError | undefined => {
      // Where a download is redirected to, neither our credentials nor our limit count.
      if (new URL(failure.url).origin !== new URL(request.url).origin) return undefined;
      rejected = failure.status === 401;
      return rate.toError(failure) ?? refusal(failure, auth);
    };
    for (;;) {
      const token = await auth.token(request.signal);
      const credentials: Record<string, string> =
        token === undefined ? {} : { authorization: `Bearer ${token}` };
      try {
        return await send({
          ...request,
          headers: { ...HEADERS, ...credentials, ...request.headers },
          toError,
          checkRedirect,
          followHidden: true,
        });
      } catch (error) {
        if (!rejected || !auth.forget()) throw error;
        rejected = false;
      }
    }
  }

  async function getPage<T>(
    url: string,
    schema: Schema<T>,
    options: GitHubGetOptions,
  ): Promise<Page<T> | undefined> {
    const known = remembered.get(url);
    const missing = options.missing ?? [];
    const headers: Record<string, string> =
      known === undefined ? {} : { "if-none-match": known.etag };
    const request = { url, headers, accept: [304, ...missing], signal: options.signal };
    const {
      status,
      headers: answered,
      text,
    } = await authorized(request, (r) => http.text(r, MAX_PAGE_BYTES));
    rate.observe(answered);
    // The schema belongs to the address, so what is remembered for it has the same type.
    if (status === 304 && known !== undefined) return known.page as Page<T>;
    if (missing.includes(status)) return undefined;
    const page = {
      value: parseWire(schema, parseJson(text, url, "is GITHUB_API_URL right?"), url),
      next: nextLink(answered.get("link"), url),
    };
    remember(url, answered.get("etag"), page);
    return page;
  }

  function remember(url: string, etag: string | null, page: Page<unknown>): void {
    remembered.delete(url);
    if (etag === null) return;
    remembered.set(url, { etag, page });
    const [oldest] = remembered.keys();
    if (remembered.size > MAX_REMEMBERED && oldest !== undefined) remembered.delete(oldest);
  }

  return {
    auth: { kind: auth.kind, source: auth.source },
    get limit() {
      return rate.current;
    },
    get: async (path, schema, options = {}) =>
      (await getPage(baseUrl + path, schema, options))?.value,
    async list<T>(path: string, schema: Schema<T[]>, options: GitHubGetOptions = {}) {
      const items: T[] = [];
      let url = baseUrl + path;
      for (let pages = 1; pages <= MAX_PAGES; pages += 1) {
        const page = await getPage(url, schema, options);
        if (page === undefined) return undefined;
        for (const item of page.value) items.push(item);
        if (page.next === undefined) return { items, pages };
        url = sameOrigin(page.next, baseUrl);
      }
      throw new RemoteError(
        `Cannot read ${redactUrl(baseUrl + path)}: it has more than ${MAX_PAGES} pages`,
      );
    },
    download: (path, range, signal) =>
      authorized(
        { url: baseUrl + path, headers: { accept: "application/octet-stream" }, signal },
        (request) => openRange(http, request, range),
      ),
    async upload(uploadUrl, name, text, signal) {
      const url = new URL(uploadUrl.replace(/\{.*$/s, "")); // https://www.rfc-editor.org/rfc/rfc6570
      url.searchParams.set("name", name);
      const headers = { "content-type": "text/plain" };
      const request = {
        url,
        method: "POST",
        headers,
        body: text,
        idempotent: true,
        accept: [422],
        signal,
      };
      const answer = await authorized(request, (r) => http.text(r));
      rate.observe(answer.headers);
      if (answer.status !== 422 || answer.text.includes("already_exists")) return;
      throw new RemoteError(`Cannot add ${name} to the release: GitHub refused it (HTTP 422)`, {
        method: "POST",
        url: redactUrl(url),
        status: 422,
        retryable: false,
      });
    },
  };
}

function readBaseUrl(env: GitHubIo["env"]): string {
  for (const name of ["GITHUB_API_URL", "GITHUB_ENDPOINT"]) {
    const value = env[name] ?? "";
    if (value === "") continue;
    const url = URL.canParse(value) ? new URL(value) : undefined;
    const web = url?.protocol === "https:" || url?.protocol === "http:";
    if (url === undefined || !web || url.username !== "" || url.search !== "" || url.hash !== "") {
      throw new ConfigError(
        `Cannot use ${name} "${redactUrl(value)}": expected an address such as https://github.example.com/api/v3`,
      );
    }
    return url.href.replace(/\/+$/, "");
  }
  return DEFAULT_URL;
}

/** A token must not go where a page's `Link` happens to lead. */
function sameOrigin(url: URL, baseUrl: string): string {
  if (url.origin === new URL(baseUrl).origin) return url.href;
  throw new RemoteError(
    `Cannot read the next page: ${redactUrl(baseUrl)} leads to another host, ${url.host}; is GITHUB_API_URL right?`,
    { url: redactUrl(url), retryable: false },
  );
}

function refusal(failure: HttpFailure, auth: GitHubAuth): DewyError | undefined {
  const { method, url, status, message } = failure;
  const what = `Cannot ${method} ${url}: HTTP ${status}${message === "" ? "" : `: ${message}`}`;
  if (auth.kind === "anonymous") {
    if (status === 401 || status === 403) {
      return new CredentialError(
        `${what}; set GH_TOKEN or GITHUB_TOKEN to a token that may read it`,
      );
    }
    if (status === 404) {
      return new NotFoundError(
        `${what}; it is not there, or it is private: then set GH_TOKEN or GITHUB_TOKEN`,
      );
    }
    return undefined;
  }
  if (status === 401) {
    return new CredentialError(
      `${what}; the credentials of ${auth.source} are wrong, expired or revoked`,
    );
  }
  if (status === 403)
    return new CredentialError(`${what}; the credentials of ${auth.source} do not allow this`);
  if (status === 404) {
    return new NotFoundError(
      `${what}; it is not there, or the credentials of ${auth.source} do not show it`,
    );
  }
  return undefined;
}
