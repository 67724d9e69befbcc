import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import type { FileMetadata } from "@google-cloud/storage";
import { crc32c } from "./gcs_crc32c.ts";
import { selectFields } from "./gcs_fields.ts";
import { fetchOf, type Handler } from "./handler.ts";

export interface GcsContent {
  /** Defaults to its name. */
  body?: string | Uint8Array;
  /** ISO 8601. */
  at?: string;
  /** A composite object has no MD5. */
  composite?: boolean;
  contentEncoding?: string;
  contentType?: string;
}

export interface GcsStored {
  name: string;
  bytes: Uint8Array;
  generation: number;
  at: string;
  composite: boolean;
  contentEncoding: string | undefined;
  contentType: string;
}

export interface FakeGcs {
  /** To serve it over HTTP. */
  handler: Handler;
  /** Replaces the network; only `https://storage.googleapis.com` exists. */
  fetch: typeof globalThis.fetch;
  /** Every request, in order: `GET /storage/v1/b/…`. */
  readonly requests: string[];
  /** Every `Authorization` header, in order; `none` if there was none. */
  readonly authorizations: string[];
  /** Stores an object, replacing an older one. */
  put(name: string, content?: GcsContent): GcsStored;
  delete(name: string): void;
  readonly objects: ReadonlyMap<string, GcsStored>;
  /** Answers the next matching request instead; `undefined` lets it pass. */
  intercept(answer: (request: Request) => Response | undefined): void;
}

export interface FakeGcsOptions {
  /** The only bucket. Defaults to `b`. */
  bucket?: string;
  /** Tokens that may read and write. Defaults to anyone. */
  tokens?: ReadonlySet<string> | undefined;
  /** Whether anyone may read. */
  isPublic?: boolean;
  /** Limit for the names of a page. Defaults to 1,000. */
  pageSize?: number;
  /** Limit for the bytes that are kept of a part of a resumable upload. Defaults to all. */
  storesAtMost?: number;
}

interface Session {
  query: URLSearchParams;
  parts: Uint8Array[];
  bytes: number;
}

/** All parts but the last are a multiple of this. */
const RESUMABLE_UNIT = 256 * 1024;

/**
 * A Google Cloud Storage with one bucket, checked against the vendor's types and, in
 * test/fakes/gcs.test.ts, with the vendor's client. Unsupported requests are answered with 501.
 * @see https://cloud.google.com/storage/docs/json_api/v1/objects
 */
export function fakeGcs(options: FakeGcsOptions = {}): FakeGcs {
  const { bucket = "b", tokens, isPublic = false, pageSize = 1000 } = options;
  const { storesAtMost = Number.POSITIVE_INFINITY } = options;
  const objects = new Map<string, GcsStored>();
  const requests: string[] = [];
  const authorizations: string[] = [];
  const sessions = new Map<string, Session>();
  const interceptors: ((request: Request) => Response | undefined)[] = [];
  let generation = 1_700_000_000_000_000;

  function put(name: string, content: GcsContent = {}): GcsStored {
    generation += 1;
    const body = content.body ?? name;
    const stored = {
      name,
      bytes: typeof body === "string" ? new TextEncoder().encode(body) : body,
      generation,
      at: content.at ?? "2026-01-01T00:00:00.000Z",
      composite: content.composite ?? false,
      contentEncoding: content.contentEncoding,
      contentType: content.contentType ?? "application/octet-stream",
    };
    objects.set(name, stored);
    return stored;
  }

  const handler: Handler = async (request) => {
    const url = new URL(request.url);
    requests.push(`${request.method} ${url.pathname}${url.search}`);
    const authorization = request.headers.get("authorization");
    authorizations.push(authorization ?? "none");
    for (const [at, interceptor] of interceptors.entries()) {
      const answer = interceptor(request);
      if (answer === undefined) continue;
      interceptors.splice(at, 1);
      return answer;
    }
    const denied = refusal(request.method, authorization);
    if (denied !== undefined) return denied;
    const [, upload, asked = "", object] =
      /^(\/upload)?\/storage\/v1\/b\/([^/]+)(?:\/o(?:\/([^/]+))?)?$/.exec(url.pathname) ?? [];
    if (decodeURIComponent(asked) !== bucket) {
      return failure(404, "notFound", "The specified bucket does not exist.");
    }
    if (upload !== undefined && request.method === "POST") return insert(request, url);
    if (upload !== undefined && request.method === "PUT") return resume(request, url);
    if (object !== undefined) return answerObject(request, url, decodeURIComponent(object));
    if (request.method === "GET" && url.pathname.endsWith("/o")) return list(url);
    return failure(
      501,
      "notImplemented",
      `the fake does not know ${request.method} ${url.pathname}`,
    );
  };

  function refusal(method: string, authorization: string | null): Response | undefined {
    if (tokens === undefined) return undefined;
    const token = authorization?.replace(/^Bearer /, "");
    if (token !== undefined) {
      return tokens.has(token) ? undefined : failure(401, "authError", "Invalid Credentials");
    }
    if (isPublic && method === "GET") return undefined;
    return failure(401, "required", "Anonymous caller does not have access to the bucket.");
  }

  function list(url: URL): Response {
    const query = url.searchParams;
    const prefix = query.get("prefix") ?? "";
    const delimiter = query.get("delimiter") ?? "";
    const entries = new Map<string, GcsStored | undefined>();
    for (const name of [...objects.keys()].sort(byUtf8)) {
      if (!name.startsWith(prefix)) continue;
      const cut = delimiter === "" ? -1 : name.indexOf(delimiter, prefix.length);
      if (cut < 0) entries.set(name, objects.get(name));
      else entries.set(name.slice(0, cut + delimiter.length), undefined);
    }
    const limit = Math.min(Number(query.get("maxResults") ?? pageSize), pageSize);
    const start = Number(atob(query.get("pageToken") ?? "") || 0);
    const page = [...entries].slice(start, start + limit);
    const items = page.flatMap(([, object]) => (object === undefined ? [] : [resource(object)]));
    const prefixes = page.flatMap(([name, object]) => (object === undefined ? [name] : []));
    const answer = {
      kind: "storage#objects",
      ...(start + limit < entries.size ? { nextPageToken: btoa(String(start + limit)) } : {}),
      ...(prefixes.length === 0 ? {} : { prefixes }),
      ...(items.length === 0 ? {} : { items }),
    };
    return Response.json(selectFields(answer, query.get("fields")));
  }

  function resource(object: GcsStored): FileMetadata {
    const { name, bytes, at, composite, contentEncoding, contentType } = object;
    return {
      kind: "storage#object",
      id: `${bucket}/${name}/${object.generation}`,
      name,
      bucket,
      generation: String(object.generation),
      metageneration: "1",
      contentType,
      storageClass: "STANDARD",
      size: String(bytes.byteLength),
      crc32c: crc32c(bytes),
      timeCreated: at,
      updated: at,
      ...(composite
        ? { componentCount: 2 }
        : { md5Hash: createHash("md5").update(bytes).digest("base64") }),
      ...(contentEncoding === undefined ? {} : { contentEncoding }),
    };
  }

  function answerObject(request: Request, url: URL, name: string): Response {
    const object = objects.get(name);
    if (object === undefined) return failure(404, "notFound", `No such object: ${bucket}/${name}`);
    const match = url.searchParams.get("ifGenerationMatch");
    if (match !== null && match !== String(object.generation)) return notMet();
    if (request.method === "DELETE") {
      objects.delete(name);
      return new Response(null, { status: 204 });
    }
    if (request.method !== "GET") return failure(501, "notImplemented", request.method);
    if (url.searchParams.get("alt") === "media") return media(request, object);
    return Response.json(selectFields({ ...resource(object) }, url.searchParams.get("fields")));
  }

  async function insert(request: Request, url: URL): Promise<Response> {
    const type = url.searchParams.get("uploadType");
    if (type === "resumable") return begin(url);
    const sent = new Uint8Array(await request.arrayBuffer());
    const parts =
      type === "multipart"
        ? splitMultipart(request.headers.get("content-type") ?? "", sent)
        : type === "media"
          ? { body: sent, contentType: request.headers.get("content-type") ?? "", name: undefined }
          : undefined;
    if (parts === undefined) return failure(501, "notImplemented", `uploadType ${type}`);
    const name = url.searchParams.get("name") ?? parts.name;
    if (name === undefined) return failure(400, "required", "Required parameter: name");
    const match = url.searchParams.get("ifGenerationMatch");
    const known = objects.get(name)?.generation ?? 0;
    if (match !== null && match !== String(known)) return notMet();
    return Response.json(resource(put(name, { ...parts, at: new Date().toISOString() })));
  }

  /** https://cloud.google.com/storage/docs/performing-resumable-uploads */
  function begin(url: URL): Response {
    const id = `session-${sessions.size + 1}`;
    sessions.set(id, { query: url.searchParams, parts: [], bytes: 0 });
    const location = new URL(url);
    location.searchParams.set("upload_id", id);
    return new Response(null, { headers: { location: location.href } });
  }

  async function resume(request: Request, url: URL): Promise<Response> {
    const session = sessions.get(url.searchParams.get("upload_id") ?? "");
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(request.headers.get("content-range") ?? "");
    if (session === undefined || range === null) return failure(404, "notFound", "No such session");
    const [first = 0, last = 0, total = 0] = range.slice(1).map(Number);
    const sent = new Uint8Array(await request.arrayBuffer());
    const isOdd = last + 1 < total && sent.length % RESUMABLE_UNIT !== 0;
    if (first > session.bytes || sent.length !== last - first + 1 || isOdd) {
      return failure(400, "invalid", "Invalid request.");
    }
    // Bytes that it has already are ignored, and it may store fewer than it was sent.
    const fresh = sent.subarray(session.bytes - first);
    const kept = Math.min(fresh.length, storesAtMost);
    session.parts.push(fresh.subarray(0, kept));
    session.bytes += kept;
    if (session.bytes < total) {
      const headers = new Headers();
      if (session.bytes > 0) headers.set("range", `bytes=0-${session.bytes - 1}`);
      return new Response(null, { status: 308, headers });
    }
    const name = session.query.get("name") ?? "";
    const match = session.query.get("ifGenerationMatch");
    if (match !== null && match !== String(objects.get(name)?.generation ?? 0)) return notMet();
    const at = new Date().toISOString();
    return Response.json(resource(put(name, { body: Buffer.concat(session.parts), at })));
  }

  return {
    handler,
    fetch: fetchOf((request) => {
      const { origin } = new URL(request.url);
      if (origin === "https://storage.googleapis.com") return handler(request);
      throw new TypeError(`the fake is not ${origin}`);
    }),
    requests,
    authorizations,
    objects,
    put,
    delete: (name) => void objects.delete(name),
    intercept: (answer) => void interceptors.push(answer),
  };
}

/**
 * https://cloud.google.com/storage/docs/transcoding,
 * https://cloud.google.com/storage/docs/json_api/v1/parameters#range
 */
function media(request: Request, object: GcsStored): Response {
  const { bytes, contentEncoding, generation, contentType } = object;
  const headers = new Headers({
    "content-type": contentType,
    date: new Date().toUTCString(),
    "last-modified": new Date(object.at).toUTCString(),
    "x-goog-generation": String(generation),
    "x-goog-stored-content-encoding": contentEncoding ?? "identity",
    "x-goog-stored-content-length": String(bytes.byteLength),
    "x-goog-hash": [
      `crc32c=${crc32c(bytes)}`,
      ...(object.composite ? [] : [`md5=${createHash("md5").update(bytes).digest("base64")}`]),
    ].join(),
  });
  if (contentEncoding === "gzip" && !request.headers.get("accept-encoding")?.includes("gzip")) {
    return new Response(gunzipSync(bytes), { headers });
  }
  if (contentEncoding !== undefined) headers.set("content-encoding", contentEncoding);
  const range = /^bytes=(\d+)-(\d+)?$/.exec(request.headers.get("range") ?? "");
  const total = bytes.byteLength;
  if (range === null) {
    headers.set("content-length", String(total));
    return new Response(new Uint8Array(bytes), { headers });
  }
  const start = Number(range[1]);
  if (start >= total) {
    headers.set("content-range", `bytes */${total}`);
    return new Response("The requested range cannot be satisfied.", { status: 416, headers });
  }
  const end = Math.min(Number(range[2] ?? total - 1), total - 1);
  headers.set("content-range", `bytes ${start}-${end}/${total}`);
  headers.set("content-length", String(end - start + 1));
  return new Response(bytes.slice(start, end + 1), { status: 206, headers });
}

/** https://cloud.google.com/storage/docs/json_api/v1/status-codes */
function failure(code: number, reason: string, message: string): Response {
  const errors = [{ message, domain: "global", reason }];
  return Response.json({ error: { code, message, errors } }, { status: code });
}

function notMet(): Response {
  return failure(
    412,
    "conditionNotMet",
    "At least one of the pre-conditions you specified did not hold.",
  );
}

/** Orders names by their bytes in UTF-8. */
function byUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** https://cloud.google.com/storage/docs/uploading-objects#rest-upload-objects */
function splitMultipart(
  contentType: string,
  sent: Uint8Array,
): { body: Uint8Array; contentType: string; name: string | undefined } {
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1] ?? "";
  const text = Buffer.from(sent).toString("latin1");
  const [, first = "", second = ""] = text.split(`--${boundary}`);
  const bodyOf = (part: string): string => part.slice(part.indexOf("\r\n\r\n") + 4, -2);
  const metadata: FileMetadata = JSON.parse(Buffer.from(bodyOf(first), "latin1").toString("utf8"));
  return {
    body: Buffer.from(bodyOf(second), "latin1"),
    contentType: metadata.contentType ?? "application/octet-stream",
    name: metadata.name,
  };
}
