import { createHash } from "node:crypto";
import { fetchOf, type Handler } from "./handler.ts";
import type { ImagePublisher } from "./image_signatures.ts";

export interface FakePlatform {
  os: string;
  architecture: string;
  variant?: string;
}

export interface FakeImage {
  /** One image each, with an index. Defaults to a single image without an index. */
  platforms?: readonly FakePlatform[];
  /** Build time. Defaults to none. */
  created?: string;
  /** Changes the bytes. */
  salt?: string;
}

export interface FakeOciOptions {
  host?: string;
  /** The required authentication. Defaults to none. */
  auth?: "none" | "basic" | "bearer";
  /** Passwords by user name. */
  users?: Readonly<Record<string, string>>;
  /** Valid refresh tokens. */
  refreshTokens?: readonly string[];
  /** Whether tokens are issued without credentials. */
  anonymous?: boolean;
  /** Lifetime of tokens in seconds, by the time of `now`. */
  expiresIn?: number;
  now?: () => number;
  /** The token service. Defaults to `https://auth.example/token`. */
  realm?: string;
  /** The origin that blobs are redirected to. Defaults to `https://blobs.example`. */
  blobs?: string | undefined;
  /** Replaces the usual challenge. */
  challenge?: string;
  /** Limit for the tags of a page, whatever `n` is. Defaults to all. */
  pageSize?: number;
  /** Sends pages by `n` and `last`, in lexical order, without a `Link`. */
  unlinked?: boolean;
  /** Answers HEAD with this status. */
  headStatus?: number;
  /** Whether it lists referrers; the number of them on a page. Defaults to 404, as older registries. */
  referrers?: number;
  /** Headers of every response for a manifest. */
  headers?: Readonly<Record<string, string>>;
  /** Answers instead; `undefined` lets the request pass. */
  instead?: (request: Request) => Response | undefined;
}

/** A registry in memory, with its token service and blob storage. */
export interface FakeOci {
  handler: Handler;
  fetch: typeof globalThis.fetch;
  /** `GET https://host/path?query` with its authorization, in order. */
  requests: { call: string; authorization: string }[];
  options: FakeOciOptions;
  /** Stores JSON as a blob or manifest; returns its digest. */
  put(value: unknown, mediaType?: string): { mediaType: string; digest: string; size: number };
  /** Pushes an image; returns the digest of its tag. */
  push(tag: string, image?: FakeImage): string;
  /** Pushes signatures. */
  publisher: ImagePublisher;
  /** Points a tag at a digest, or deletes it. */
  tag(name: string, digest: string | undefined): void;
  /** Revokes all tokens. */
  revoke(): void;
}

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const REPOSITORY = "o/app";
const AMD64: FakePlatform = { os: "linux", architecture: "amd64" };

/** Makes a registry with the empty repository `o/app`. */
export function fakeOci(options: FakeOciOptions = {}): FakeOci {
  const host = options.host ?? "registry.example";
  const realm = new URL(options.realm ?? "https://auth.example/token");
  const blobs = options.blobs ?? "https://blobs.example";
  const content = new Map<string, { text: string; mediaType: string }>();
  const tags = new Map<string, string>();
  const tokens = new Map<string, number>();
  const requests: FakeOci["requests"] = [];
  const now = options.now ?? (() => 0);
  let minted = 0;

  const fake: FakeOci = {
    requests,
    options,
    handler: (request) => answer(request),
    fetch: fetchOf((request) => answer(request)),
    put(value, mediaType = MANIFEST) {
      const text = JSON.stringify(value);
      const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
      content.set(digest, { text, mediaType });
      return { mediaType, digest, size: Buffer.byteLength(text) };
    },
    push(tag, image = {}) {
      const one = (platform: FakePlatform): ReturnType<FakeOci["put"]> => {
        const config = fake.put(
          {
            ...platform,
            ...(image.created === undefined ? {} : { created: image.created }),
            config: { Labels: { tag, salt: image.salt ?? "" } },
          },
          CONFIG,
        );
        return fake.put({
          schemaVersion: 2,
          mediaType: MANIFEST,
          config,
          layers: [{ size: 1000 }],
        });
      };
      const top =
        image.platforms === undefined
          ? one(AMD64)
          : fake.put(
              {
                schemaVersion: 2,
                mediaType: INDEX,
                manifests: image.platforms.map((platform) => ({ ...one(platform), platform })),
              },
              INDEX,
            );
      tags.set(tag, top.digest);
      return top.digest;
    },
    publisher: {
      blob: async (value, mediaType) => fake.put(value, mediaType),
      async manifest(value, mediaType, tag) {
        const pushed = fake.put(value, mediaType);
        if (tag !== undefined) tags.set(tag, pushed.digest);
        return pushed;
      },
    },
    tag(name, digest) {
      if (digest === undefined) tags.delete(name);
      else tags.set(name, digest);
    },
    revoke: () => tokens.clear(),
  };

  async function answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const authorization = request.headers.get("authorization") ?? "";
    requests.push({ call: `${request.method} ${url.href}`, authorization });
    const odd = fake.options.instead?.(request);
    if (odd !== undefined) return odd;
    if (url.origin + url.pathname === realm.origin + realm.pathname) return giveToken(request);
    if (url.origin === blobs) return giveBlob(url.pathname.slice(1), authorization);
    if (url.host !== host) return new Response("unknown host", { status: 418 });
    return refuse(authorization) ?? route(request, url);
  }

  function refuse(authorization: string): Response | undefined {
    const { auth = "none", challenge } = fake.options;
    if (auth === "none") return undefined;
    if (auth === "basic" && isUser(authorization)) return undefined;
    const until = tokens.get(authorization.replace(/^Bearer /, ""));
    if (auth === "bearer" && until !== undefined && now() < until) return undefined;
    const usual =
      auth === "basic"
        ? 'Basic realm="registry, a fake"'
        : `Bearer realm="${realm.href}",service="${host}",scope="repository:${REPOSITORY}:pull"`;
    return errorOf(401, "UNAUTHORIZED", "authentication required", {
      "www-authenticate": challenge ?? usual,
    });
  }

  function isUser(authorization: string): boolean {
    const [user = "", password] = atob(authorization.replace(/^Basic /, "")).split(":");
    return password !== undefined && fake.options.users?.[user] === password;
  }

  async function giveToken(request: Request): Promise<Response> {
    const { refreshTokens = [], anonymous = false, expiresIn } = fake.options;
    const authorization = request.headers.get("authorization") ?? "";
    const form = new URLSearchParams(request.method === "POST" ? await request.text() : "");
    const allowed =
      request.method === "POST"
        ? refreshTokens.includes(form.get("refresh_token") ?? "") ||
          fake.options.users?.[form.get("username") ?? ""] === form.get("password")
        : authorization === ""
          ? anonymous
          : isUser(authorization);
    if (!allowed) return errorOf(401, "UNAUTHORIZED", "incorrect username or password");
    minted += 1;
    const token = `token-${minted}`;
    tokens.set(token, now() + (expiresIn ?? 60) * 1000);
    return Response.json({ token, ...(expiresIn === undefined ? {} : { expires_in: expiresIn }) });
  }

  function giveBlob(digest: string, authorization: string): Response {
    if (authorization !== "") return new Response("credentials leaked", { status: 418 });
    const found = content.get(digest);
    return found === undefined ? errorOf(404, "BLOB_UNKNOWN") : new Response(found.text);
  }

  function route(request: Request, url: URL): Response {
    const prefix = `/v2/${REPOSITORY}/`;
    if (!url.pathname.startsWith(prefix)) return errorOf(404, "NAME_UNKNOWN", "no such repository");
    const [kind = "", reference = ""] = decodeURIComponent(url.pathname.slice(prefix.length)).split(
      "/",
    );
    if (kind === "tags") return listTags(url);
    if (kind === "referrers") return listReferrers(url, reference);
    if (kind === "blobs") return Response.redirect(`${blobs}/${reference}`, 307);
    const { headStatus } = fake.options;
    if (request.method === "HEAD" && headStatus !== undefined) {
      return new Response(null, { status: headStatus });
    }
    const digest = reference.startsWith("sha256:") ? reference : (tags.get(reference) ?? "");
    const found = content.get(digest);
    if (found === undefined) return errorOf(404, "MANIFEST_UNKNOWN");
    const headers = {
      "content-type": found.mediaType,
      "docker-content-digest": digest,
      ...fake.options.headers,
    };
    return new Response(request.method === "HEAD" ? null : found.text, { headers });
  }

  function listReferrers(url: URL, subject: string): Response {
    const { referrers: pageSize } = fake.options;
    if (pageSize === undefined) return errorOf(404, "NOT_FOUND", "page not found");
    const all = [...content].flatMap(([digest, { text, mediaType }]) => {
      const manifest = JSON.parse(text);
      if (manifest.subject?.digest !== subject) return [];
      return [{ mediaType, digest, size: text.length, artifactType: manifest.artifactType }];
    });
    const start = Number(url.searchParams.get("from") ?? 0);
    const next = `/v2/${REPOSITORY}/referrers/${subject}?from=${start + pageSize}`;
    const headers: Record<string, string> = { "content-type": INDEX };
    if (start + pageSize < all.length) headers.link = `<${next}>; rel="next"`;
    const manifests = all.slice(start, start + pageSize);
    return Response.json({ schemaVersion: 2, mediaType: INDEX, manifests }, { headers });
  }

  function listTags(url: URL): Response {
    const { unlinked = false } = fake.options;
    const all = unlinked ? [...tags.keys()].sort() : [...tags.keys()];
    const asked = unlinked ? Number(url.searchParams.get("n") ?? all.length) : all.length;
    const pageSize = Math.min(asked, fake.options.pageSize ?? all.length);
    const last = url.searchParams.get("last");
    const start = last === null ? 0 : all.indexOf(last) + 1;
    const page = all.slice(start, start + pageSize);
    const rest = !unlinked && start + pageSize < all.length;
    const next = `/v2/${REPOSITORY}/tags/list?last=${encodeURIComponent(page.at(-1) ?? "")}&n=${pageSize}`;
    return Response.json(
      { name: REPOSITORY, tags: page },
      rest ? { headers: { link: `<${next}>; rel="next"` } } : {},
    );
  }

  return fake;
}

/** An error in the form of the distribution specification. */
export function errorOf(
  status: number,
  code: string,
  message = "",
  headers: Readonly<Record<string, string>> = {},
): Response {
  return Response.json({ errors: [{ code, message }] }, { status, headers });
}
