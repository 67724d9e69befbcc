import { createHash } from "node:crypto";
import type { Handler } from "./handler.ts";

export interface FakeObject {
  body: Uint8Array<ArrayBuffer>;
  lastModified: Date;
  headers: Readonly<Record<string, string>>;
}

interface FakeUpload {
  key: string;
  parts: Map<number, Uint8Array>;
  at: Date;
}

/**
 * S3 in memory: path style, one user. Signatures are parsed, but not verified (radosgw does that).
 */
export interface FakeS3 {
  handler: Handler;
  /** `METHOD /bucket/key?query` of every request. */
  calls: string[];
  /** Stores an object, as another client would. */
  store(key: string, body: string | Uint8Array<ArrayBuffer>, options?: StoreOptions): void;
  /** Removes everything below a prefix. */
  remove(prefix: string): void;
  /** Multipart uploads that were begun and neither completed nor aborted. */
  readonly uploads: ReadonlyMap<string, FakeUpload>;
  /** By key. */
  readonly objects: ReadonlyMap<string, FakeObject>;
}

export interface StoreOptions {
  lastModified?: Date;
  /** Response headers of GET and HEAD, such as checksums. */
  headers?: Readonly<Record<string, string>>;
}

export function fakeS3(bucket: string, now: () => number): FakeS3 {
  const objects = new Map<string, FakeObject>();
  const calls: string[] = [];
  const store: FakeS3["store"] = (key, body, options = {}) => {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    objects.set(key, {
      body: bytes,
      lastModified: options.lastModified ?? new Date(now()),
      headers: options.headers ?? {},
    });
  };

  const handler: Handler = async (request) => {
    const url = new URL(request.url);
    calls.push(`${request.method} ${url.pathname}${url.search}`);
    if (!(request.headers.get("authorization") ?? "").startsWith("AWS4-HMAC-SHA256 ")) {
      return error(403, "AccessDenied");
    }
    const [, asked = "", ...rest] = url.pathname.split("/").map(decodeURIComponent);
    if (asked !== bucket) return error(404, "NoSuchBucket");
    const key = rest.join("/");
    const upload = url.searchParams.get("uploadId");
    if (request.method === "POST" || upload !== null) return multipart(request, key, url);
    if (request.method === "DELETE") {
      objects.delete(key);
      return new Response(null, { status: 204 });
    }
    if (request.method === "PUT") {
      const refusal = refuse(request, objects.get(key));
      if (refusal !== undefined) return refusal;
      store(key, new Uint8Array(await request.arrayBuffer()));
      return new Response(null, { headers: { etag: etagOf(objects.get(key)) } });
    }
    if (key === "" && url.searchParams.has("uploads")) return listUploads(url.searchParams);
    if (key === "") return list(objects, url.searchParams);
    return get(request, objects.get(key), url.searchParams, now());
  };
  const uploads = new Map<string, FakeUpload>();
  /** https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html */
  const multipart = async (request: Request, key: string, url: URL): Promise<Response> => {
    const id = url.searchParams.get("uploadId");
    if (id === null) {
      const next = `upload-${calls.length}`;
      uploads.set(next, { key, parts: new Map(), at: new Date(now()) });
      return xml(
        `<InitiateMultipartUploadResult><UploadId>${next}</UploadId></InitiateMultipartUploadResult>`,
      );
    }
    const parts = uploads.get(id)?.parts;
    if (parts === undefined) return error(404, "NoSuchUpload");
    if (request.method === "PUT") {
      const number = Number(url.searchParams.get("partNumber"));
      parts.set(number, new Uint8Array(await request.arrayBuffer()));
      return new Response(null, { headers: { etag: `"part-${number}"` } });
    }
    if (request.method === "DELETE") {
      uploads.delete(id);
      return new Response(null, { status: 204 });
    }
    const refusal = refuse(request, objects.get(key));
    if (refusal !== undefined) return refusal;
    const named = [...(await request.text()).matchAll(/<PartNumber>(\d+)</g)];
    const whole = named.flatMap(([, number]) => parts.get(Number(number)) ?? []);
    store(key, new Uint8Array(Buffer.concat(whole)));
    uploads.delete(id);
    return xml("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>");
  };

  /** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html */
  const listUploads = (query: URLSearchParams): Response => {
    const text = [...uploads]
      .filter(([, { key }]) => key.startsWith(query.get("prefix") ?? ""))
      .map(
        ([id, { key, at }]) =>
          `<Upload><Key>${urlEncode(key)}</Key><UploadId>${id}</UploadId><Initiated>${at.toISOString()}</Initiated></Upload>`,
      );
    return xml(
      `<ListMultipartUploadsResult><EncodingType>url</EncodingType>${text.join("")}</ListMultipartUploadsResult>`,
    );
  };

  return {
    handler,
    calls,
    uploads,
    store,
    objects,
    remove(prefix) {
      for (const key of objects.keys()) if (key.startsWith(prefix)) objects.delete(key);
    },
  };
}

function list(objects: ReadonlyMap<string, FakeObject>, query: URLSearchParams): Response {
  const prefix = query.get("prefix") ?? "";
  const max = Math.min(1000, Number(query.get("max-keys") ?? "1000"));
  const after = query.get("continuation-token") ?? "";
  const entries = new Map<string, FakeObject | undefined>();
  for (const key of [...objects.keys()].filter((one) => one.startsWith(prefix)).sort()) {
    const end = key.indexOf("/", prefix.length);
    if (end < 0) entries.set(key, objects.get(key));
    else entries.set(key.slice(0, end + 1), undefined);
  }
  const left = [...entries].filter(([name]) => name > after);
  const page = left.slice(0, max);
  const last = page.at(-1)?.[0] ?? "";
  const isTruncated = left.length > page.length;
  const text = page.map(([name, object]) =>
    object === undefined
      ? `<CommonPrefixes><Prefix>${urlEncode(name)}</Prefix></CommonPrefixes>`
      : `<Contents><Key>${urlEncode(name)}</Key><LastModified>${object.lastModified.toISOString()}</LastModified>` +
        `<ETag>${etagOf(object).replaceAll('"', "&quot;")}</ETag><Size>${object.body.length}</Size></Contents>`,
  );
  return new Response(
    `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
      `<EncodingType>url</EncodingType><IsTruncated>${isTruncated}</IsTruncated>` +
      `${isTruncated ? `<NextContinuationToken>${escapeXml(last)}</NextContinuationToken>` : ""}${text.join("")}</ListBucketResult>`,
    { headers: { "content-type": "application/xml" } },
  );
}

function get(
  request: Request,
  object: FakeObject | undefined,
  query: URLSearchParams,
  now: number,
): Response {
  if (object === undefined) return error(404, "NoSuchKey");
  const match = request.headers.get("if-match");
  if (match !== null && match !== etagOf(object)) return error(412, "PreconditionFailed");
  const size = object.body.length;
  const headers = new Headers({
    ...object.headers,
    etag: etagOf(object),
    date: new Date(now).toUTCString(),
    "last-modified": object.lastModified.toUTCString(),
  });
  const encoding = query.get("response-content-encoding");
  if (encoding !== null) headers.set("content-encoding", encoding);
  const [, first] = /^bytes=(\d+)-$/.exec(request.headers.get("range") ?? "") ?? [];
  const start = Number(first ?? 0);
  if (start >= size && first !== undefined) return error(416, "InvalidRange");
  headers.set("content-length", String(size - start));
  if (first !== undefined) headers.set("content-range", `bytes ${start}-${size - 1}/${size}`);
  const body = request.method === "HEAD" ? null : object.body.slice(start);
  return new Response(body, { status: first === undefined ? 200 : 206, headers });
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html */
function refuse({ headers }: Request, object: FakeObject | undefined): Response | undefined {
  if (headers.get("if-none-match") === "*" && object !== undefined) {
    return error(412, "PreconditionFailed");
  }
  const match = headers.get("if-match");
  if (match === null) return undefined;
  if (object === undefined) return error(404, "NoSuchKey");
  return match === etagOf(object) ? undefined : error(412, "PreconditionFailed");
}

function xml(text: string): Response {
  return new Response(text, { headers: { "content-type": "application/xml" } });
}

function error(status: number, code: string): Response {
  const xml = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code} it is</Message></Error>`;
  return new Response(xml, { status, headers: { "content-type": "application/xml" } });
}

/** A simple ETag is the MD5. A test may set another. */
function etagOf(object: FakeObject | undefined): string {
  if (object === undefined) return '""';
  const md5 = createHash("md5").update(object.body).digest("hex");
  return object.headers.etag ?? `"${md5}"`;
}

/** Like AWS, with "+" for a space. */
function urlEncode(text: string): string {
  return encodeURIComponent(text).replaceAll("%20", "+").replaceAll("%2F", "/");
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
