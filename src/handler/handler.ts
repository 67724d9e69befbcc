import { systemClock } from "../core/clock.ts";
import { ConfigError, DewyError } from "../core/error.ts";
import type { Platform } from "../core/types.ts";
import { bearerCheck } from "../gateway/bearer_token.ts";
import { memoryCache } from "../http/cache_adapters.ts";
import { runtimePlatform } from "../platform/platform.ts";
import { parsePlatformSegment } from "../platform/platform_segment.ts";
import type { RegistryOptions } from "../registries/open.ts";
import { type AllowedRegistry, findRegistry } from "./allow_list.ts";
import { Answers } from "./answers.ts";
import { badgeJson, badgeOf, badgeSvg, unavailableBadge } from "./badge.ts";
import { download, Links } from "./download.ts";
import { explainBody, latestBody } from "./latest.ts";
import type { HandlerOptions } from "./options.ts";
import { receiveReport } from "./report.ts";
import { cachedResponse, failureResponse, Refusal } from "./response.ts";
import { type Route, readRoute } from "./route.ts";

const TIMEOUT_MS = 10_000;
/** What a page of another origin may read. */
const EXPOSED = "accept-ranges, content-disposition, content-range, etag, repr-digest, retry-after";
/** How long a badge that cannot be filled is kept. */
const UNAVAILABLE_SECONDS = 30;

/**
 * Makes a function that answers requests for the newest version: `/latest`, `/badge.svg`, `/badge.json`, `/download/…` and
 * `/explain`. It mounts in every framework and runtime that has `Request` and `Response`.
 *
 * @param options The registries that may be asked for, and the options of the library.
 * @returns A function that never rejects: failures are responses.
 * @throws {ConfigError} If only one of `reportToken` and `onReport` is set.
 *
 * @example
 * ```ts
 * import { createHandler } from "dewy/handler";
 *
 * const handler = createHandler({
 *   registries: { app: "ghr://linyows/myapp" },
 *   env: {},
 *   fetch: async () => Response.json([]), // a repository without tags and releases
 * });
 * const response = await handler(new Request("https://versions.example.com/app/latest"));
 * const { kind, reason } = await response.json();
 * if (kind !== "none" || reason !== "empty") throw new Error("unexpected");
 * ```
 */
export function createHandler(options: HandlerOptions): (request: Request) => Promise<Response> {
  const handler = new Handler(options);
  return (request) => handler.respond(request);
}

class Handler {
  readonly #options: HandlerOptions;
  readonly #library: RegistryOptions;
  readonly #answers: Answers;
  readonly #links: Links | undefined;
  readonly #basePath: string;
  readonly #scope: "public" | "private";
  readonly #cacheControl: string;
  readonly #secrets: readonly string[];
  readonly #mayRead: ((authorization: string | null) => Promise<boolean>) | undefined;
  readonly #mayReport: ((authorization: string | null) => Promise<boolean>) | undefined;

  constructor(options: HandlerOptions) {
    const {
      registries: _registries,
      drivers,
      basePath = "",
      maxAgeSeconds = 60,
      staleSeconds = 600,
      redirect = true,
      explain: _explain,
      cors: _cors,
      readToken,
      reportToken,
      onReport,
      onError: _onError,
      waitUntil,
      ...library
    } = options;
    if ((reportToken === undefined) !== (onReport === undefined)) {
      throw new ConfigError(
        "Cannot make a handler: reportToken and onReport go together; set both to receive reports",
      );
    }
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#options = options;
    // An unchanged list costs neither rate limit nor bytes.
    const { cache = memoryCache() } = options;
    this.#library = { ...library, registries: drivers, timeoutMs, cache };
    const clock = options.clock ?? systemClock;
    this.#links = redirect ? new Links({ clock, timeoutMs }) : undefined;
    this.#answers = new Answers({
      library: this.#library,
      clock,
      maxAgeMs: maxAgeSeconds * 1000,
      staleMs: staleSeconds * 1000,
      timeoutMs,
      waitUntil,
    });
    this.#basePath = basePath.replace(/\/+$/, "");
    this.#scope = readToken === undefined ? "public" : "private";
    this.#cacheControl = `${this.#scope}, max-age=${maxAgeSeconds}, stale-while-revalidate=${staleSeconds}`;
    const { token, registryLogin } = options;
    this.#secrets = [token, registryLogin?.password, readToken, reportToken].filter(
      (secret) => secret !== undefined,
    );
    this.#mayRead = readToken === undefined ? undefined : bearerCheck(readToken);
    this.#mayReport = reportToken === undefined ? undefined : bearerCheck(reportToken);
  }

  async respond(request: Request): Promise<Response> {
    const response = await this.#answer(request).catch((error: unknown) => this.#failure(error));
    const isHead = request.method === "HEAD" && response.body !== null;
    const answer = isHead ? new Response(null, response) : response;
    answer.headers.set("x-content-type-options", "nosniff");
    const { cors = "*" } = this.#options;
    if (cors !== false) {
      answer.headers.set("access-control-allow-origin", cors);
      answer.headers.set("access-control-expose-headers", EXPOSED);
    }
    return answer;
  }

  #failure(error: unknown): Response {
    if (error instanceof Refusal) return error.response;
    if (error instanceof DewyError) return failureResponse(error, this.#secrets);
    (this.#options.onError ?? console.error)(error);
    const message = "Cannot answer: an unexpected error; see the log of the handler";
    return new Refusal(500, "remote", message).response;
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const route = readRoute(url.pathname, this.#basePath);
    if (route === undefined || !this.#isServed(route)) {
      throw new Refusal(
        404,
        "not-found",
        "unknown path; this handler serves /latest, /badge.svg, /badge.json, /download/<platform> and /explain",
      );
    }
    const methods = route.action === "report" ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
    if (request.method === "OPTIONS") return this.#preflight(methods);
    if (!methods.split(", ").includes(request.method)) {
      const message = `method not allowed; use ${methods}`;
      throw new Refusal(405, "config", message, { allow: methods });
    }
    await this.#authenticate(request, route);
    const name = route.name ?? url.searchParams.get("registry") ?? undefined;
    const registry = await findRegistry(this.#options.registries, name);
    if (route.action === "report" && this.#options.onReport !== undefined) {
      return receiveReport(request, registry, this.#options.onReport);
    }
    return this.#read(request, route, registry, url.searchParams);
  }

  #isServed({ action }: Route): boolean {
    if (action === "report") return this.#options.onReport !== undefined;
    return action !== "explain" || this.#options.explain !== false;
  }

  #preflight(methods: string): Response {
    const headers = {
      allow: methods,
      "access-control-allow-methods": methods,
      "access-control-allow-headers": "authorization, content-type, if-none-match, range",
      "access-control-max-age": "86400",
    };
    return new Response(null, { status: 204, headers });
  }

  async #authenticate({ headers }: Request, { action }: Route): Promise<void> {
    const check = action === "report" ? this.#mayReport : this.#mayRead;
    if (check === undefined || (await check(headers.get("authorization")))) return;
    throw new Refusal(401, "credential", "a bearer token is required", {
      "www-authenticate": "Bearer",
    });
  }

  async #read(
    request: Request,
    { action, name, platform: segment }: Route,
    { name: label, url }: AllowedRegistry,
    query: URLSearchParams,
  ): Promise<Response> {
    const platform = this.#platformOf(segment || query.get("platform"));
    const common = { "cache-control": this.#cacheControl };
    const json = { ...common, "content-type": "application/json; charset=utf-8" };
    // In the path, a registry's name is part of what relative URLs are below.
    const registry = name === undefined ? (query.get("registry") ?? undefined) : undefined;
    switch (action) {
      case "download":
        return download(
          request,
          {
            url,
            platform,
            tag: query.get("tag") ?? undefined,
            file: query.get("file") ?? undefined,
          },
          {
            answers: this.#answers,
            library: this.#library,
            links: this.#links,
            cacheControl: this.#cacheControl,
          },
        );
      case "badge.svg":
      case "badge.json":
        return this.#badge(
          request,
          action,
          url,
          platform,
          query.get("label") ?? (label || "version"),
        );
      case "explain": {
        const { explanation, ...resolution } = await this.#answers.newest(url, platform, true);
        if (explanation === undefined) throw new TypeError("the registry explains nothing");
        const body = explainBody(resolution, explanation, platform, registry);
        return cachedResponse(request, JSON.stringify(body), json);
      }
      default: {
        const resolution = await this.#answers.newest(url, platform, false);
        const body = latestBody(resolution, platform, registry);
        return cachedResponse(request, JSON.stringify(body), json);
      }
    }
  }

  #platformOf(text: string | null): Platform {
    if (text === null || text === "") return this.#options.platform ?? runtimePlatform();
    const platform = parsePlatformSegment(text);
    if (platform !== undefined) return platform;
    throw new Refusal(400, "config", "invalid platform; expected <os>-<arch>, such as linux-amd64");
  }

  /** A README shows no image at all for an error, so a failure is a badge as well. */
  async #badge(
    request: Request,
    action: "badge.svg" | "badge.json",
    url: string,
    platform: Platform,
    label: string,
  ): Promise<Response> {
    const asked = this.#answers.newest(url, platform, false);
    const badge = await asked.then(
      (resolution) => badgeOf(resolution, label),
      () => unavailableBadge(label),
    );
    const seconds = badge.isError ? UNAVAILABLE_SECONDS : (this.#options.maxAgeSeconds ?? 60);
    const type = action === "badge.svg" ? "image/svg+xml" : "application/json";
    const body = action === "badge.svg" ? badgeSvg(badge) : badgeJson(badge, seconds);
    return cachedResponse(request, body, {
      "content-type": `${type}; charset=utf-8`,
      "cache-control": badge.isError ? `${this.#scope}, max-age=${seconds}` : this.#cacheControl,
      ...(action === "badge.svg" && {
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
      }),
    });
  }
}
