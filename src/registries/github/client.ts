import type { Context } from "../../core/context.ts";
import {
  ConfigError,
  CredentialError,
  type DewyError,
  NotFoundError,
  RemoteError,
} from "../../core/error.ts";
import { readBaseUrl, redactUrl } from "../../core/url.ts";
import { discardBody } from "../../http/body.ts";
import {
  createHttpClient,
  type HttpClient,
  type HttpFailure,
  type HttpRequest,
} from "../../http/client.ts";
import { nextLink, parseJson } from "../../http/json.ts";
import { openRange, type RangeOptions } from "../../http/range.ts";
import { guardRedirects, type ResolveHost } from "../../http/redirect.ts";
import type { ResponseCache } from "../../http/response_cache.ts";
import { type GitHubAuth, githubAuth } from "./auth.ts";
import { type RateLimit, type RateWatch, watchRateLimit } from "./rate_limit.ts";
import { parseWire, type Schema } from "./schema.ts";

/** `GITHUB_API_URL`, or else `GITHUB_ENDPOINT`, names an Enterprise server. */
export interface GitHubContext extends Pick<Context, "env" | "fetch" | "clock" | "emit"> {
  /** Takes precedence over the credentials of the environment. */
  token?: string | undefined;
  /** Reads the key file of a GitHub App; absent on the edge. */
  readTextFile?: Context["readTextFile"];
  /** Looks up the addresses of a host; absent on the edge. */
  resolveHost?: ResolveHost;
  /** Keeps responses beyond this client. Defaults to none. */
  cache?: ResponseCache | undefined;
}

export interface GitHubGetOptions {
  /** Statuses that mean "there is nothing", and give `undefined`. */
  missing?: readonly number[];
  signal?: AbortSignal | undefined;
}

export interface GitHubList<T> {
  items: T[];
  pages: number;
}

interface Page<T> {
  value: T;
  next: URL | undefined;
}

const DEFAULT_URL = "https://api.github.com";
// https://docs.github.com/rest/about-the-rest-api/api-versions
const HEADERS = { accept: "application/vnd.github+json", "x-github-api-version": "2022-11-28" };
/** Answers that are remembered; GitHub ends its lists at 100 pages of 100. */
const MAX_REMEMBERED = 500;
const MAX_PAGES = 1_000;
/** All tags come on one page: some 300 bytes each, for more tags than any known repository has. */
const MAX_PAGE_BYTES = 128 * 1024 * 1024;

/**
 * The part of GitHub's REST API that dewy needs. Requests are conditional: an unchanged answer costs no rate limit and
 * comes from memory.
 */
export class GitHubClient {
  readonly #baseUrl: string;
  readonly #http: HttpClient;
  readonly #auth: GitHubAuth;
  readonly #rate: RateWatch;
  readonly #checkRedirect: (next: URL) => void | Promise<void>;
  readonly #remembered = new Map<string, { etag: string; page: Page<unknown> }>();

  /** @throws ConfigError if the address or the credentials in the environment are invalid. */
  constructor(context: GitHubContext) {
    const { env, clock, token, readTextFile, resolveHost } = context;
    this.#baseUrl = apiUrl(env);
    this.#http = createHttpClient(context);
    const baseUrl = this.#baseUrl;
    this.#auth = githubAuth({ env, clock, http: this.#http, baseUrl, token, readTextFile });
    this.#checkRedirect = guardRedirects(new URL(baseUrl), resolveHost);
    this.#rate = watchRateLimit(new URL(baseUrl).host, context);
  }

  get auth(): Pick<GitHubAuth, "kind" | "source"> {
    return this.#auth;
  }

  /** The remaining requests; `undefined` before the first answer, and on servers without limits. */
  get limit(): RateLimit | undefined {
    return this.#rate.current;
  }

  async get<T>(
    path: string,
    schema: Schema<T>,
    options: GitHubGetOptions = {},
  ): Promise<T | undefined> {
    return (await this.#getPage(this.#baseUrl + path, schema, options))?.value;
  }

  /** Gets a list, page after page; a page that fails fails the whole. */
  async list<T>(
    path: string,
    schema: Schema<T[]>,
    options: GitHubGetOptions = {},
  ): Promise<GitHubList<T> | undefined> {
    const items: T[] = [];
    let url = this.#baseUrl + path;
    for (let pages = 1; pages <= MAX_PAGES; pages += 1) {
      const page = await this.#getPage(url, schema, options);
      if (page === undefined) return undefined;
      for (const item of page.value) items.push(item);
      if (page.next === undefined) return { items, pages };
      url = sameOrigin(page.next, this.#baseUrl);
    }
    throw new RemoteError(
      `Cannot read ${redactUrl(this.#baseUrl + path)}: it has more than ${MAX_PAGES} pages`,
    );
  }

  download(
    path: string,
    range: RangeOptions,
    signal?: AbortSignal,
  ): Promise<ReadableStream<Uint8Array>> {
    const headers = { accept: "application/octet-stream" };
    return this.#authorized({ url: this.#baseUrl + path, headers, signal }, (request) =>
      openRange(this.#http, request, range),
    );
  }

  /** Where a download is redirected to: a signed address, which needs no token. `undefined` if the server sends it itself. */
  async locate(path: string, signal?: AbortSignal): Promise<string | undefined> {
    const headers = { accept: "application/octet-stream" };
    const request = { url: this.#baseUrl + path, headers, redirect: "manual", signal } as const;
    const response = await this.#authorized(request, (ready) => this.#http.send(ready));
    discardBody(response);
    const location = response.headers.get("location");
    return location === null ? undefined : new URL(location, request.url).href;
  }

  /** Adds a text file to a release; an existing one counts as success. */
  async upload(uploadUrl: string, name: string, text: string, signal?: AbortSignal): Promise<void> {
    const url = new URL(uploadUrl.replace(/\{.*$/s, "")); // https://www.rfc-editor.org/rfc/rfc6570
    url.searchParams.set("name", name);
    const request = {
      url,
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: text,
      idempotent: true,
      accept: [422],
      signal,
    };
    const answer = await this.#authorized(request, (ready) => this.#http.text(ready));
    this.#rate.observe(answer.headers);
    if (answer.status !== 422 || answer.text.includes("already_exists")) return;
    throw new RemoteError(`Cannot add ${name} to the release: GitHub refused it (HTTP 422)`, {
      method: "POST",
      url: redactUrl(url),
      status: 422,
      retryable: false,
    });
  }

  async #getPage<T>(
    url: string,
    schema: Schema<T>,
    { missing = [], signal }: GitHubGetOptions,
  ): Promise<Page<T> | undefined> {
    const known = this.#remembered.get(url);
    const headers: Record<string, string> =
      known === undefined ? {} : { "if-none-match": known.etag };
    const answer = await this.#authorized(
      { url, headers, accept: [304, ...missing], cacheable: true, signal },
      (ready) => this.#http.text(ready, MAX_PAGE_BYTES),
    );
    this.#rate.observe(answer.headers);
    // The schema belongs to the address, so what is remembered for it has the same type.
    if (answer.status === 304 && known !== undefined) return known.page as Page<T>;
    if (missing.includes(answer.status)) return undefined;
    const page = {
      value: parseWire(schema, parseJson(answer.text, url, "is GITHUB_API_URL right?"), url),
      next: nextLink(answer.headers.get("link"), url),
    };
    this.#remember(url, answer.headers.get("etag"), page);
    return page;
  }

  #remember(url: string, etag: string | null, page: Page<unknown>): void {
    this.#remembered.delete(url);
    if (etag === null) return;
    this.#remembered.set(url, { etag, page });
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > MAX_REMEMBERED && oldest !== undefined) {
      this.#remembered.delete(oldest);
    }
  }

  /** Sends with a token; an App's token that was revoked is replaced once. */
  async #authorized<T>(
    request: HttpRequest,
    send: (request: HttpRequest) => Promise<T>,
  ): Promise<T> {
    this.#rate.assertOpen();
    let rejected = false;
    const toError = (failure: HttpFailure): DewyError | undefined => {
      // Where a download is redirected to, neither our credentials nor our limit count.
      if (new URL(failure.url).origin !== new URL(request.url).origin) return undefined;
      rejected = failure.status === 401;
      return this.#rate.toError(failure) ?? refusal(failure, this.#auth);
    };
    for (;;) {
      const token = await this.#auth.token(request.signal);
      const credentials: Record<string, string> =
        token === undefined ? {} : { authorization: `Bearer ${token}` };
      try {
        return await send({
          ...request,
          headers: { ...HEADERS, ...credentials, ...request.headers },
          toError,
          checkRedirect: this.#checkRedirect,
          followHidden: true,
        });
      } catch (error) {
        if (!rejected || !this.#auth.forget()) throw error;
        rejected = false;
      }
    }
  }
}

function apiUrl(env: GitHubContext["env"]): string {
  for (const name of ["GITHUB_API_URL", "GITHUB_ENDPOINT"]) {
    const value = env[name] ?? "";
    if (value === "") continue;
    const url = readBaseUrl(value);
    if (url !== undefined) return url;
    throw new ConfigError(
      `Cannot use ${name} "${redactUrl(value)}": expected a URL such as https://github.example.com/api/v3`,
    );
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
        `${what}; it does not exist, or is private; for a private one, set GH_TOKEN or GITHUB_TOKEN`,
      );
    }
    return undefined;
  }
  if (status === 401) {
    return new CredentialError(
      `${what}; the credentials of ${auth.source} are wrong, expired or revoked`,
    );
  }
  if (method === "POST" && (status === 403 || status === 404)) {
    return new CredentialError(
      `${what}; an audit record takes the permission "Contents: write", which the credentials of ${auth.source} do not have`,
    );
  }
  if (status === 403)
    return new CredentialError(`${what}; the credentials of ${auth.source} do not allow this`);
  if (status === 404) {
    return new NotFoundError(
      `${what}; it does not exist, or the credentials of ${auth.source} do not show it`,
    );
  }
  return undefined;
}
