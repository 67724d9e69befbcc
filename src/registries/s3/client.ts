/**
 * The calls of S3 that dewy needs, on AWS and on compatible services.
 *
 * @module
 */

import { type AwsContext, findCredentials } from "../../auth/aws_credentials.ts";
import type { Clock } from "../../core/clock.ts";
import { bytesToBase64, sha256 } from "../../core/encoding.ts";
import { IntegrityError, RemoteError } from "../../core/error.ts";
import type { EventSink } from "../../core/event.ts";
import { redactUrl } from "../../core/url.ts";
import { createHttpClient, type HttpClient, type HttpRequest } from "../../http/client.ts";
import { openRange, type RangeOptions } from "../../http/range.ts";
import {
  type AwsProfile,
  bucketAddress,
  encodeSegment,
  objectAddress,
  type S3Bucket,
  s3Endpoint,
} from "./address.ts";
import { s3Error } from "./error.ts";
import { s3Signer } from "./sign.ts";
import { parseListing, type S3Page } from "./xml.ts";

/** What the client needs from the world. */
export interface S3Io extends AwsContext {
  /** The network. */
  fetch: typeof globalThis.fetch;
  /** Time. */
  clock: Clock;
  /** Hears of requests and retries. */
  emit: EventSink;
  /** The AWS profile in use; absent on the edge. */
  awsProfile?: () => Promise<AwsProfile>;
}

/** What to list. */
export interface S3ListOptions {
  /** How the keys begin; empty: all. */
  prefix: string;
  /** Keys an answer has at most; the server's own limit, 1,000, unless told. */
  maxKeys?: number;
  /** Ends the call. */
  signal?: AbortSignal | undefined;
}

/** Which bytes of an object to get. */
export interface S3GetOptions extends RangeOptions {
  /** The entity tag that the object must still have, as the server wrote it. */
  etag?: string;
  /** Ends the call and the stream. */
  signal?: AbortSignal | undefined;
}

/** Asks one bucket. */
export interface S3Client {
  /** Lists one level of "directories" and objects, page by page as they are asked for. */
  list(options: S3ListOptions): AsyncIterable<S3Page>;
  /** The headers of an object, checksums included; `undefined` when it is not (or no longer) `etag`. */
  head(key: string, options?: S3GetOptions): Promise<Headers | undefined>;
  /** The bytes of an object as they are stored. */
  get(key: string, options?: S3GetOptions): Promise<ReadableStream<Uint8Array>>;
  /** Stores an object, over an older one. */
  put(
    key: string,
    body: string | Uint8Array<ArrayBuffer>,
    contentType: string,
    signal?: AbortSignal | undefined,
  ): Promise<void>;
}

// 1,000 keys of 1,024 bytes, escaped and wrapped, stay below.
const MAX_LISTING_BYTES = 16 * 1024 * 1024;

/**
 * Opens a bucket. Nothing is sent before the first question.
 *
 * Every failure is a DewyError with the server's own words: a wrong region is a ConfigError that names the right one,
 * refused keys are a CredentialError, a missing bucket or object a NotFoundError, an object that was replaced meanwhile
 * an IntegrityError.
 *
 * @param at the bucket.
 * @param io the world.
 * @returns the client.
 * @throws ConfigError when region or bucket cannot be part of an address.
 */
export function createS3Client(at: S3Bucket, io: S3Io): S3Client {
  const http = createHttpClient(io);
  // What can be wrong without the profile is an error at once.
  bucketAddress({ ...at, endpoint: s3Endpoint(at.endpoint, io.env) });
  let located: Promise<S3Bucket> | undefined;
  const locate = (): Promise<S3Bucket> => {
    located ??= withEndpoint(at, io);
    return located;
  };
  const known = { anonymous: false };
  const findKeys = async (): ReturnType<typeof findCredentials> =>
    credentials(await locate(), io, known);
  const sign = s3Signer(at.region, findKeys, io.clock);
  const complete = async (request: HttpRequest): Promise<HttpRequest> => ({
    ...request,
    sign,
    toError: s3Error(await locate(), () => known.anonymous),
    redirect: "error",
  });
  const s3: HttpClient = {
    send: async (request) => http.send(await complete(request)),
    text: async (request, maxBytes) => http.text(await complete(request), maxBytes),
    json: async (request) => http.json(await complete(request)),
  };
  const addressOf = async (key: string): Promise<string> => objectAddress(await locate(), key);

  return {
    async *list(options) {
      yield* listPages(s3, bucketAddress(await locate()), options);
    },
    head: async (key, options = {}) => head(s3, await addressOf(key), options),
    get: async (key, options = {}) => {
      const isSigned = (await findKeys()) !== undefined;
      return get(s3, await addressOf(key), isSigned, options);
    },
    put: async (key, body, contentType, signal) => {
      const checksum = bytesToBase64(await sha256(body));
      const response = await s3.send({
        method: "PUT",
        url: await addressOf(key),
        headers: { "content-type": contentType, "x-amz-checksum-sha256": checksum },
        body,
        signal,
      });
      await response.body?.cancel();
    },
  };
}

async function credentials(
  at: S3Bucket,
  io: S3Io,
  known: { anonymous: boolean },
): ReturnType<typeof findCredentials> {
  const found = await findCredentials(io);
  if (found === undefined && !known.anonymous) {
    io.emit({ type: "anonymous", host: new URL(bucketAddress(at)).host });
  }
  known.anonymous = found === undefined;
  return found;
}

async function withEndpoint(at: S3Bucket, io: S3Io): Promise<S3Bucket> {
  const profile = at.endpoint === "" ? await io.awsProfile?.() : undefined;
  return { ...at, endpoint: s3Endpoint(at.endpoint, io.env, profile) };
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html */
async function* listPages(
  http: HttpClient,
  bucketUrl: string,
  options: S3ListOptions,
): AsyncGenerator<S3Page> {
  let token: string | undefined;
  do {
    const query = {
      "list-type": "2",
      prefix: options.prefix,
      delimiter: "/",
      // Keys may have characters that XML cannot express.
      "encoding-type": "url",
      ...(options.maxKeys === undefined ? {} : { "max-keys": String(options.maxKeys) }),
      ...(token === undefined ? {} : { "continuation-token": token }),
    };
    const url = `${bucketUrl}?${formatQuery(query)}`;
    const answer = await http.text({ url, signal: options.signal, maxBytes: MAX_LISTING_BYTES });
    const page = parseListing(answer.text);
    if (typeof page === "string") throw unreadable(url, answer.status, page);
    if (page.next !== undefined && page.next === token) {
      throw unreadable(url, answer.status, "it goes on with itself");
    }
    yield page;
    token = page.next;
  } while (token !== undefined);
}

function unreadable(url: string, status: number, why: string): RemoteError {
  return new RemoteError(
    `Cannot read the listing ${redactUrl(url)}: ${why}; is this the address of an S3 service?`,
    { method: "GET", url: redactUrl(url), status },
  );
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html */
async function head(
  http: HttpClient,
  url: string,
  options: S3GetOptions,
): Promise<Headers | undefined> {
  const response = await http.send({
    method: "HEAD",
    url,
    headers: { "x-amz-checksum-mode": "ENABLED", ...ifMatch(options.etag) },
    signal: options.signal,
    accept: [404, 412],
  });
  return response.ok ? response.headers : undefined;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html */
function get(
  http: HttpClient,
  url: string,
  isSigned: boolean,
  options: S3GetOptions,
): Promise<ReadableStream<Uint8Array>> {
  // An object stored with `Content-Encoding: gzip` would be unpacked by `fetch` on the way. The server takes the
  // header back when it is asked to, but only by a signed request.
  const query = isSigned ? `?${formatQuery({ "response-content-encoding": "identity" })}` : "";
  return openRange(
    { ...http, send: async (request) => refuseEncoded(url, await http.send(request)) },
    { url: `${url}${query}`, headers: ifMatch(options.etag), signal: options.signal },
    options,
  );
}

async function refuseEncoded(url: string, response: Response): Promise<Response> {
  const encoding = response.headers.get("content-encoding") ?? "identity";
  if (encoding === "identity" || encoding === "aws-chunked") return response;
  await response.body?.cancel();
  throw new IntegrityError(
    `Cannot download ${redactUrl(url)}: it is stored with Content-Encoding ${encoding}, so that its bytes change on the way; store it without, or set credentials`,
    { retryable: false },
  );
}

function ifMatch(etag: string | undefined): Record<string, string> {
  return etag === undefined || etag === "" ? {} : { "if-match": etag };
}

function formatQuery(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => `${encodeSegment(name)}=${encodeSegment(value)}`)
    .join("&");
}
