import { createHash } from "node:crypto";
import { type CryptoKey, jwtVerify } from "jose";
import type { Clock } from "../../src/core/clock.ts";
import type { Fault } from "./github_fault.ts";
import {
  assetPayload,
  errorPayload,
  type FakeUrls,
  refPayload,
  releasePayload,
  type StoredAsset,
  type StoredRelease,
  type TokenPayload,
} from "./github_payload.ts";
import { fetchOf, type Handler } from "./handler.ts";
import { serveFetch } from "./serve.ts";

export interface FakeGitHubOptions {
  /** For releases, limits and tokens. */
  clock: Pick<Clock, "now">;
  /** `owner/repo`. Defaults to `acme/app`. */
  repo?: string;
  /**
   * Valid tokens, and whether they may write. Defaults to
   * `{ ghp_writer: true, ghp_reader: false }`.
   */
  tokens?: Record<string, boolean>;
  /** Whether the repository is visible only with a token. */
  isPrivate?: boolean;
  /** A GitHub App that may request tokens. */
  app?: { id: string; installationId: string; publicKey: CryptoKey };
  /** Requests per hour with a token and without. Defaults to 5000 and 60. */
  limits?: { token: number; anonymous: number };
  /** Whether refs are paged, as once documented, or sent at once, as they are. */
  pagedRefs?: boolean;
}

export interface FakeAsset {
  name: string;
  bytes?: string | Uint8Array<ArrayBuffer>;
  state?: "uploaded" | "open";
  /** `null` for none, as for old assets. Defaults to the right one. */
  digest?: string | null;
}

export interface FakeCall {
  /** `GET /path?query`. */
  call: string;
  status: number;
  /** Length of the response body, uncompressed. */
  bytes: number;
  /** Whether it counted against the rate limit. */
  counted: boolean;
}

const LIMITS = { token: 5000, anonymous: 60 };
const HOUR_MS = 3_600_000;
const WINDOW_OPENS = { used: 0, resetAt: 0 };

/**
 * GitHub's REST API for releases, as far as dewy and its tests need it. Its responses have the
 * types of GitHub's OpenAPI document, and test/fakes/github.test.ts checks it with GitHub's own
 * client.
 */
export class FakeGitHub {
  /** Every answered call, in order, including downloads from the storage. */
  readonly calls: FakeCall[] = [];
  /** Calls that must not happen: unknown paths, and private headers at the storage. */
  readonly violations: string[] = [];
  /** The URLs of its servers. */
  urls: FakeUrls = {
    api: "https://api.github.test",
    uploads: "https://uploads.github.test",
    storage: "https://objects.github.test",
  };
  /** `owner/repo`. */
  readonly repo: string;
  /** Tags and their commits. */
  readonly tags: Map<string, string> = new Map();
  /** Whether the repository exists. */
  visible = true;
  readonly #options: FakeGitHubOptions;
  readonly #tokens: Record<string, boolean>;
  readonly #appTokens = new Map<string, number>();
  readonly #attestations: { sha256: string; bundle: unknown }[] = [];
  readonly #windows = new Map<string, { used: number; resetAt: number }>();
  readonly #faults: { on: RegExp; fault: Fault; times: number }[] = [];
  #releases: StoredRelease[] = [];
  #nextId = 1;

  constructor(options: FakeGitHubOptions) {
    this.#options = options;
    this.repo = options.repo ?? "acme/app";
    this.#tokens = { ...(options.tokens ?? { ghp_writer: true, ghp_reader: false }) };
  }

  /** Replaces the network. */
  get fetch(): typeof globalThis.fetch {
    return fetchOf(this.handler);
  }

  /** Publishes a release and, unless it is a draft, its tag. */
  publish(
    tag: string,
    assets: readonly FakeAsset[] = [],
    flags: { draft?: boolean; preRelease?: boolean; publishedAt?: number } = {},
  ): StoredRelease {
    const now = this.#options.clock.now();
    const release: StoredRelease = {
      id: this.#nextId++,
      tag,
      draft: flags.draft ?? false,
      preRelease: flags.preRelease ?? false,
      createdAt: now,
      publishedAt: flags.publishedAt ?? now,
      assets: [],
    };
    this.#releases.unshift(release);
    if (!release.draft && !this.tags.has(tag)) this.pushTag(tag);
    for (const asset of assets) this.addAsset(tag, asset);
    return release;
  }

  /** Pushes a tag alone, or moves it. */
  pushTag(tag: string): void {
    this.tags.set(
      tag,
      createHash("sha1")
        .update(`${tag} ${this.#nextId++}`)
        .digest("hex"),
    );
  }

  /** The release of a tag. */
  release(tag: string): StoredRelease {
    const release = this.#releases.find((one) => one.tag === tag);
    if (release === undefined) throw new Error(`the fake has no release ${tag}`);
    return release;
  }

  /** Deletes a release; its tag stays, as on GitHub. */
  deleteRelease(tag: string): void {
    this.#releases = this.#releases.filter((one) => one.tag !== tag);
  }

  /** Adds a file to a release; one of the same name is replaced. */
  addAsset(tag: string, asset: FakeAsset): StoredAsset {
    const release = this.release(tag);
    const bytes =
      typeof asset.bytes === "object"
        ? asset.bytes
        : new TextEncoder().encode(asset.bytes ?? `${tag} ${asset.name}`);
    const sha256 = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    const stored: StoredAsset = {
      id: this.#nextId++,
      name: asset.name,
      bytes,
      contentType: "application/octet-stream",
      state: asset.state ?? "uploaded",
      digest: asset.digest === undefined ? sha256 : asset.digest,
      downloads: 0,
      updatedAt: this.#options.clock.now(),
    };
    release.assets = [...release.assets.filter((one) => one.name !== asset.name), stored];
    return stored;
  }

  /**
   * Downloads every asset once, as another client: the ETag of the list changes, that of the tags
   * does not.
   */
  countDownloads(): void {
    for (const release of this.#releases) for (const asset of release.assets) asset.downloads += 1;
  }

  /** Stores an attestation as `actions/attest` does; the newest is listed first. */
  attest(sha256: string, bundle: unknown): void {
    this.#attestations.unshift({ sha256, bundle });
  }

  /** Revokes a token. */
  revoke(token: string): void {
    delete this.#tokens[token];
    this.#appTokens.delete(token);
  }

  /** Injects faults into the next responses to matching calls, such as `/GET .*releases/`. */
  inject(on: RegExp, fault: Fault, times = 1): void {
    this.#faults.push({ on, fault, times });
  }

  /** The remaining limit of an identity: a token, or `anonymous`. */
  remaining(identity: string): number {
    return this.#limitOf(identity) - this.#window(identity).used;
  }

  /** Uses up an identity's limit, except for so many requests. */
  useUp(identity: string, left: number): void {
    this.#window(identity).used = this.#limitOf(identity) - left;
  }

  /** Throws if a call was unexpected. */
  verify(): void {
    if (this.violations.length > 0) throw new Error(this.violations.join("\n"));
    const unused = this.#faults.filter((fault) => fault.times > 0).map(({ on }) => String(on));
    if (unused.length > 0) throw new Error(`never came: ${unused.join(", ")}`);
  }

  /** API, uploads and storage, distinguished by their URLs. */
  readonly handler: Handler = async (request) => {
    const url = new URL(request.url);
    const call = `${request.method} ${url.pathname}${url.search}`;
    const fault = this.#faults.find((one) => one.times > 0 && one.on.test(call));
    const isStorage = url.pathname.startsWith("/storage/");
    const answer = (): Promise<Response> =>
      isStorage ? this.#storage(request, url) : this.#api(request, url, call);
    if (fault === undefined) return answer();
    fault.times -= 1;
    return fault.fault(answer);
  };

  async #api(request: Request, url: URL, call: string): Promise<Response> {
    const identity = this.#identify(request);
    const headers = new Headers({
      "content-type": "application/json; charset=utf-8",
      date: new Date(this.#options.clock.now()).toUTCString(),
      "x-github-media-type": "github.v3; format=json",
    });
    const isExempt = url.pathname.startsWith("/app/");
    const exhausted = identity !== undefined && !isExempt && this.remaining(identity) <= 0;
    const answer = exhausted
      ? refuse(403, "API rate limit exceeded for 127.0.0.1. (Authenticated requests get more.)")
      : await this.#answer(request, url, identity);

    const text = answer.body === undefined ? "" : JSON.stringify(answer.body);
    const etag = `W/"${createHash("sha256").update(`${identity} ${text}`).digest("hex")}"`;
    let status = answer.status ?? 200;
    if (status === 200 && request.method === "GET") {
      headers.set("etag", etag);
      headers.set("vary", "Accept, Authorization, Cookie, X-GitHub-OTP");
      if (request.headers.get("if-none-match") === etag) status = 304;
    }
    for (const [name, value] of Object.entries(answer.headers ?? {})) headers.set(name, value);
    const free = status === 304 && identity !== "anonymous";
    const counted = identity !== undefined && !exhausted && !free && !isExempt;
    if (identity !== undefined && !isExempt) this.#account(identity, counted, headers);
    const body = status === 304 || answer.body === undefined ? null : text;
    this.calls.push({ call, status, counted, bytes: body === null ? 0 : Buffer.byteLength(body) });
    return new Response(body, { status, headers });
  }

  #account(identity: string, counted: boolean, headers: Headers): void {
    const window = this.#window(identity);
    if (counted) window.used += 1;
    headers.set("x-ratelimit-limit", String(this.#limitOf(identity)));
    headers.set("x-ratelimit-remaining", String(Math.max(0, this.remaining(identity))));
    headers.set("x-ratelimit-used", String(window.used));
    headers.set("x-ratelimit-reset", String(Math.ceil(window.resetAt / 1000)));
    headers.set("x-ratelimit-resource", "core");
  }

  #window(identity: string): { used: number; resetAt: number } {
    const now = this.#options.clock.now();
    let window = this.#windows.get(identity) ?? WINDOW_OPENS;
    if (now >= window.resetAt) window = { used: 0, resetAt: now + HOUR_MS };
    this.#windows.set(identity, window);
    return window;
  }

  #limitOf(identity: string): number {
    const limits = this.#options.limits ?? LIMITS;
    return identity === "anonymous" ? limits.anonymous : limits.token;
  }

  /** The token of the request, `anonymous`, or `undefined` for an unknown token. */
  #identify(request: Request): string | undefined {
    const header = request.headers.get("authorization");
    if (header === null) return "anonymous";
    const token = /^(?:bearer|token) (\S+)$/i.exec(header)?.[1] ?? "";
    if (Object.hasOwn(this.#tokens, token)) return token;
    const expiresAt = this.#appTokens.get(token) ?? 0;
    return expiresAt > this.#options.clock.now() ? token : undefined;
  }

  #canWrite(identity: string): boolean {
    return this.#tokens[identity] === true || this.#appTokens.has(identity);
  }

  async #answer(request: Request, url: URL, identity: string | undefined): Promise<Answer> {
    if ((request.headers.get("user-agent") ?? "") === "") return refuse(403, "no User-Agent");
    const version = request.headers.get("x-github-api-version") ?? "2022-11-28";
    if (version !== "2022-11-28") return refuse(400, `${version} is not a supported API version`);

    const installation = /^\/app\/installations\/([^/]+)\/access_tokens$/.exec(url.pathname)?.[1];
    if (installation !== undefined) return this.#issueToken(request, installation);
    if (identity === undefined) return refuse(401, "Bad credentials");

    const prefix = `/repos/${this.repo}`;
    const hidden = !this.visible || (this.#options.isPrivate === true && identity === "anonymous");
    const inside = url.pathname === prefix || url.pathname.startsWith(`${prefix}/`);
    if (!inside || hidden) return refuse(404, "Not Found");
    const path = url.pathname.slice(prefix.length).split("/").map(decodeURIComponent);
    return this.#repository(request, url, path.slice(1), identity);
  }

  async #repository(request: Request, url: URL, path: string[], identity: string): Promise<Answer> {
    const [first, second, third, fourth] = path;
    const published = this.#releases.filter((one) => !one.draft);
    if (request.method === "GET") {
      if (first === undefined) return { body: { id: 1, full_name: this.repo, private: false } };
      if (
        first === "git" &&
        second === "matching-refs" &&
        third === "tags" &&
        fourth === undefined
      ) {
        return this.#refs(url);
      }
      if (first === "attestations") return this.#attestationsOf(url, second);
      if (first === "releases" && second === undefined) {
        const releases = this.#canWrite(identity) ? this.#releases : published;
        return this.#page(
          url,
          30,
          releases.map((one) => this.#payload(one)),
        );
      }
      if (first === "releases" && second === "tags") {
        const tag = path.slice(2).join("/");
        return this.#found(published.find((one) => one.tag === tag));
      }
      if (first === "releases" && second === "assets") return this.#asset(request, Number(third));
      if (first === "releases" && third === undefined) {
        return this.#found(this.#releases.find((one) => String(one.id) === second));
      }
    }
    if (request.method === "POST" && first === "releases" && third === "assets") {
      return this.#upload(request, url, second ?? "", identity);
    }
    this.violations.push(`unexpected: ${request.method} ${url.pathname}`);
    return refuse(404, "Not Found");
  }

  #payload(release: StoredRelease): ReturnType<typeof releasePayload> {
    return releasePayload(this.urls, this.repo, release);
  }

  #found(release: StoredRelease | undefined): Answer {
    return release === undefined ? refuse(404, "Not Found") : { body: this.#payload(release) };
  }

  #refs(url: URL): Answer {
    const refs = [...this.tags]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([tag, sha]) => refPayload(this.urls, this.repo, tag, sha));
    return this.#options.pagedRefs === true ? this.#page(url, 30, refs) : { body: refs };
  }

  /** https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api */
  #page(url: URL, standard: number, items: readonly unknown[]): Answer {
    const size = Math.min(100, Number(url.searchParams.get("per_page") ?? standard));
    const page = Number(url.searchParams.get("page") ?? 1);
    const last = Math.max(1, Math.ceil(items.length / size));
    const to = (number: number, rel: string): string => {
      const target = new URL(url.pathname + url.search, this.urls.api);
      target.searchParams.set("page", String(number));
      return `<${target}>; rel="${rel}"`;
    };
    const links = [
      ...(page > 1 ? [to(page - 1, "prev"), to(1, "first")] : []),
      ...(page < last ? [to(page + 1, "next"), to(last, "last")] : []),
    ];
    return {
      body: items.slice((page - 1) * size, page * size),
      headers: links.length === 0 ? {} : { link: links.join(", ") },
    };
  }

  /** https://docs.github.com/rest/repos/attestations#list-attestations */
  #attestationsOf(url: URL, subject = ""): Answer {
    const found = this.#attestations.filter(({ sha256 }) => subject === `sha256:${sha256}`);
    if (found.length === 0) return refuse(404, "Not Found");
    const listed = found.map(({ bundle }) => ({ bundle, repository_id: 1 }));
    const { body, headers } = this.#page(url, 30, listed);
    return { body: { attestations: body }, headers };
  }

  #asset(request: Request, id: number): Answer {
    for (const release of this.#releases) {
      const asset = release.assets.find((one) => one.id === id);
      if (asset === undefined) continue;
      if (request.headers.get("accept") !== "application/octet-stream") {
        return { body: assetPayload(this.urls, this.repo, release.tag, asset) };
      }
      const location = `${this.urls.storage}/storage/${id}?sp=r&sig=s3cretsignature`;
      return { status: 302, headers: { location } };
    }
    return refuse(404, "Not Found");
  }

  async #upload(request: Request, url: URL, id: string, identity: string): Promise<Answer> {
    const release = this.#releases.find((one) => String(one.id) === id);
    const name = url.searchParams.get("name") ?? "";
    if (release === undefined) return refuse(404, "Not Found");
    if (!this.#canWrite(identity))
      return refuse(403, "Resource not accessible by personal access token");
    if (name === "") return refuse(400, "no name");
    if (release.assets.some((one) => one.name === name)) {
      const errors = [{ resource: "ReleaseAsset", code: "already_exists", field: "name" }];
      return { status: 422, body: { ...errorPayload(422, "Validation Failed"), errors } };
    }
    const bytes = new Uint8Array(await request.arrayBuffer());
    const asset = this.addAsset(release.tag, { name, bytes });
    asset.contentType = request.headers.get("content-type") ?? "";
    return { status: 201, body: assetPayload(this.urls, this.repo, release.tag, asset) };
  }

  async #issueToken(request: Request, installation: string): Promise<Answer> {
    const { app, clock } = this.#options;
    const jwt = request.headers.get("authorization")?.replace(/^bearer /i, "") ?? "";
    const now = clock.now();
    try {
      if (request.method !== "POST" || app === undefined) throw new Error("no App");
      const { payload } = await jwtVerify(jwt, app.publicKey, {
        algorithms: ["RS256"],
        issuer: app.id,
        currentDate: new Date(now),
        requiredClaims: ["iat", "exp"],
      });
      if ((payload.exp ?? 0) * 1000 > now + 600_000) throw new Error("it lives too long");
      if ((payload.iat ?? 0) * 1000 > now) throw new Error("it is from the future");
    } catch (error) {
      return refuse(401, `A JSON web token could not be decoded: ${error}`);
    }
    if (installation !== app?.installationId) return refuse(404, "Not Found");
    const token = `ghs_${this.#nextId++}`;
    this.#appTokens.set(token, now + HOUR_MS);
    const body: TokenPayload = { token, expires_at: new Date(now + HOUR_MS).toISOString() };
    return { status: 201, body };
  }

  /**
   * https://www.rfc-editor.org/rfc/rfc9110#section-14 ; a signed URL together with a token is
   * refused.
   */
  async #storage(request: Request, url: URL): Promise<Response> {
    const call = `${request.method} ${url.pathname}`;
    const log = (status: number, bytes: number): void => {
      this.calls.push({ call, status, bytes, counted: false });
    };
    const leaked = [...request.headers.keys()].filter((name) =>
      /^(authorization|cookie|x-.*)$/.test(name),
    );
    if (leaked.length > 0 || url.searchParams.get("sig") !== "s3cretsignature") {
      this.violations.push(`leaked to storage: ${leaked.join(", ") || "no signature"}`);
      log(400, 0);
      return new Response("Only one auth mechanism allowed", { status: 400 });
    }
    const asset = this.#releases
      .flatMap((release) => release.assets)
      .find((one) => url.pathname === `/storage/${one.id}`);
    if (asset === undefined) {
      log(404, 0);
      return new Response("no such object", { status: 404 });
    }
    const size = asset.bytes.byteLength;
    const headers = {
      "content-type": asset.contentType,
      "accept-ranges": "bytes",
      etag: `"${asset.id}"`,
    };
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "")?.[1] ?? -1);
    if (start >= size) {
      log(416, 0);
      return new Response(null, { status: 416, headers: { "content-range": `bytes */${size}` } });
    }
    asset.downloads += 1;
    const bytes = asset.bytes.slice(Math.max(0, start));
    log(start < 0 ? 200 : 206, bytes.byteLength);
    const length = { "content-length": String(bytes.byteLength) };
    if (start < 0) return new Response(bytes, { headers: { ...headers, ...length } });
    const range = { "content-range": `bytes ${start}-${size - 1}/${size}` };
    return new Response(bytes, { status: 206, headers: { ...headers, ...length, ...range } });
  }
}

interface Answer {
  status?: number;
  body?: unknown;
  headers?: Record<string, string>;
}

function refuse(status: number, message: string): Answer {
  return { status, body: errorPayload(status, message) };
}

export interface ServedGitHub {
  github: FakeGitHub;
  /** For `GITHUB_API_URL`. */
  url: string;
  close(): Promise<void>;
}

/**
 * Serves the fake over real HTTP: API and storage on two loopback ports, so that they have
 * different origins.
 */
export async function serveGitHub(options: FakeGitHubOptions): Promise<ServedGitHub> {
  const github = new FakeGitHub(options);
  const api = await serveFetch(github.handler);
  const storage = await serveFetch(github.handler);
  github.urls = { api: api.url, uploads: api.url, storage: storage.url };
  const close = async (): Promise<void> => {
    await Promise.all([api.close(), storage.close()]);
  };
  return { github, url: api.url, close };
}
