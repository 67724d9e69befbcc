import {
  type AwsContext,
  type AwsCredentials,
  findCredentials,
} from "../../auth/aws_credentials.ts";
import { presignAws, signAws } from "../../auth/aws_sign.ts";
import type { Clock } from "../../core/clock.ts";
import { bytesToBase64, bytesToHex, sha256 } from "../../core/encoding.ts";
import { IntegrityError, RemoteError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import {
  createHttpClient,
  type HttpClient,
  type HttpContext,
  type HttpRequest,
  type SignableRequest,
} from "../../http/client.ts";
import { openRange, type RangeOptions } from "../../http/range.ts";
import {
  type AwsProfile,
  bucketAddress,
  encodeSegment,
  objectAddress,
  type S3Bucket,
  s3Endpoint,
} from "./address.ts";
import { s3Error } from "./errors.ts";
import { parseListing, parseS3Error, type S3Page } from "./xml.ts";

export interface S3Context extends HttpContext, AwsContext {
  /** The AWS profile in use; absent on the edge. */
  awsProfile?: (() => Promise<AwsProfile>) | undefined;
}

export interface S3ListOptions {
  prefix: string;
  /** Limit for the keys of a page. Defaults to the server's own limit, 1,000. */
  maxKeys?: number;
  signal?: AbortSignal | undefined;
}

export interface S3PutOptions {
  /** Whether an existing object stays as it is, and counts as success. Defaults to false. */
  isNew?: boolean;
  signal?: AbortSignal | undefined;
}

export interface S3GetOptions extends RangeOptions {
  /** The entity tag that the object must still have, as the server wrote it. */
  etag?: string | undefined;
  signal?: AbortSignal | undefined;
}

const LINK_SECONDS = 300;

/** The object exists, or another client is creating it. */
const EXISTS = new Set(["PreconditionFailed", "ConditionalRequestConflict"]);

// Enough for 1,000 escaped keys of 1,024 bytes.
const MAX_LISTING_BYTES = 16 * 1024 * 1024;

/**
 * Opens a bucket on AWS or a compatible service. No request is sent until a method is called.
 *
 * Every failure is a DewyError with the server's own message: a ConfigError for a wrong region, with the right one, a
 * CredentialError for refused keys, a NotFoundError for a missing bucket or object, an IntegrityError for an object that
 * was replaced in the meantime.
 */
export function createS3Client(at: S3Bucket, context: S3Context) {
  const http = createHttpClient({ service: "S3", ...context });
  // Errors that do not depend on the profile are thrown at once.
  bucketAddress({ ...at, endpoint: s3Endpoint(at.endpoint, context.env) });
  let located: Promise<S3Bucket> | undefined;
  const locate = (): Promise<S3Bucket> => {
    located ??= withEndpoint(at, context);
    return located;
  };
  const access = { isAnonymous: false };
  const findKeys = async (): ReturnType<typeof findCredentials> =>
    s3Credentials(await locate(), context, access);
  const sign = s3Signer(at.region, findKeys, context.clock);
  const complete = async (request: HttpRequest): Promise<HttpRequest> => ({
    ...request,
    sign,
    toError: s3Error(await locate(), () => access.isAnonymous),
    redirect: "error",
  });
  const s3: HttpClient = {
    send: async (request) => http.send(await complete(request)),
    text: async (request, maxBytes) => http.text(await complete(request), maxBytes),
    json: async (request) => http.json(await complete(request)),
  };
  const addressOf = async (key: string): Promise<string> => objectAddress(await locate(), key);

  return {
    async *list(options: S3ListOptions) {
      yield* listPages(s3, bucketAddress(await locate()), options);
    },
    head: async (key: string, options: S3GetOptions = {}) =>
      head(s3, await addressOf(key), options),
    get: async (key: string, options: S3GetOptions = {}) => {
      const isSigned = (await findKeys()) !== undefined;
      return get(s3, await addressOf(key), isSigned, options);
    },
    /** An address that needs no credentials for some minutes. */
    link: async (key: string): Promise<string> => {
      const [credentials, url] = [await findKeys(), await addressOf(key)];
      if (credentials === undefined) return url;
      const scope = { credentials, service: "s3", region: at.region, now: context.clock.now() };
      return presignAws(url, LINK_SECONDS, scope);
    },
    put: async (
      key: string,
      body: string | Uint8Array<ArrayBuffer>,
      contentType: string,
      { signal, isNew = false }: S3PutOptions = {},
    ) => {
      const checksum = bytesToBase64(await sha256(body));
      const headers = { "content-type": contentType, "x-amz-checksum-sha256": checksum };
      const request = { method: "PUT", url: await addressOf(key), headers, body, signal };
      await (isNew ? putNew(s3, request) : s3.text(request));
    },
  };
}

export type S3Client = ReturnType<typeof createS3Client>;

export async function s3Credentials(
  at: S3Bucket,
  context: S3Context,
  access: { isAnonymous: boolean },
): ReturnType<typeof findCredentials> {
  const found = await findCredentials(context);
  if (found === undefined && !access.isAnonymous) {
    context.emit({ type: "anonymous", host: new URL(bucketAddress(at)).host });
  }
  access.isAnonymous = found === undefined;
  return found;
}

export async function withEndpoint(at: S3Bucket, context: S3Context): Promise<S3Bucket> {
  const profile = at.endpoint === "" ? await context.awsProfile?.() : undefined;
  return { ...at, endpoint: s3Endpoint(at.endpoint, context.env, profile) };
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
      // Keys may contain characters that XML cannot represent.
      "encoding-type": "url",
      "max-keys": options.maxKeys,
      "continuation-token": token,
    };
    const url = `${bucketUrl}?${formatQuery(query)}`;
    const { text, status } = await http.text({
      url,
      signal: options.signal,
      maxBytes: MAX_LISTING_BYTES,
    });
    const page = parseListing(text);
    if (typeof page === "string") throw unreadable(url, status, page);
    if (page.next !== undefined && page.next === token) {
      throw unreadable(url, status, "its next page is the same page");
    }
    yield page;
    token = page.next;
  } while (token !== undefined);
}

function unreadable(url: string, status: number, why: string): RemoteError {
  return new RemoteError(
    `Cannot read the listing ${redactUrl(url)}: ${why}; is this the URL of an S3 service?`,
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
  // `fetch` would decode an object stored with `Content-Encoding: gzip`. The server omits the header if requested to, but
  // only for a signed request.
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
    `Cannot download ${redactUrl(url)}: it is stored with Content-Encoding ${encoding}, so that its bytes change in transit; store it without, or set credentials`,
    { retryable: false },
  );
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html */
async function putNew(http: HttpClient, request: HttpRequest): Promise<void> {
  const headers = { ...request.headers, "if-none-match": "*" };
  const { status, text } = await http.text({ ...request, headers, accept: [409, 412, 501] });
  if (status < 300 || EXISTS.has(parseS3Error(text).code)) return;
  // Some services refuse the condition, whether or not the object exists.
  await http.text(request);
}

function ifMatch(etag: string | undefined): Record<string, string> {
  return etag === undefined || etag === "" ? {} : { "if-match": etag };
}

function formatQuery(query: Readonly<Record<string, string | number | undefined>>): string {
  return Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${encodeSegment(String(value))}`)
    .join("&");
}

export type S3Sign = (request: SignableRequest) => Promise<Readonly<Record<string, string>>>;

/**
 * Makes a function for `HttpRequest.sign` that signs with SigV4. It gets credentials and time for every attempt; without
 * credentials, requests are not signed.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
export function s3Signer(
  region: string,
  credentials: () => Promise<AwsCredentials | undefined>,
  clock: Clock,
): S3Sign {
  const keys = new Map<string, ArrayBuffer>();
  return async (request) => {
    const known = await credentials();
    if (known === undefined) return {};
    // A key is derived for each day and secret; many keys mean that the credentials were renewed.
    if (keys.size > 8) keys.clear();
    // Runtimes and proxies may change other headers: with a Range, `fetch` adds to Accept-Encoding.
    const headers = {
      ...amzHeaders(request.headers),
      "x-amz-content-sha256": bytesToHex(await sha256(request.body ?? "")),
    };
    const now = clock.now();
    const added = await signAws(
      { ...request, headers, body: undefined },
      { credentials: known, service: "s3", region, now, cache: keys },
    );
    return { "x-amz-content-sha256": headers["x-amz-content-sha256"], ...added };
  };
}

/** The headers that must be signed in addition to `host`. */
function amzHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("x-amz-")));
}
