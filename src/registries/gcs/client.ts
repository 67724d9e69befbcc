/**
 * The calls of Google Cloud Storage's JSON API that dewy needs.
 *
 * @module
 */

import { type GoogleAuth, type GoogleAuthIo, googleAuth } from "../../auth/google/client.ts";
import { IntegrityError, RemoteError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import { createHttpClient, type HttpClient, type HttpRequest } from "../../http/client.ts";
import { openRange, type RangeOptions } from "../../http/range.ts";
import { gcsAddress } from "./address.ts";
import { gcsError } from "./error.ts";
import { type GcsPage, PAGE_FIELDS, parsePage } from "./schema.ts";

/** What to list. */
export interface GcsListOptions {
  /** How the names begin; empty: all. */
  prefix: string;
  /** Whether names are cut at the next `/`; else all objects below the prefix come. */
  directories?: boolean;
  /** Names an answer has at most; the server's own limit, 1,000, unless told. */
  maxResults?: number;
  /** Ends the call. */
  signal?: AbortSignal | undefined;
}

/** Which bytes of an object to get. */
export interface GcsGetOptions extends RangeOptions {
  /** The generation that the object must still have. */
  generation?: string | undefined;
  /** Ends the call and the stream. */
  signal?: AbortSignal | undefined;
}

/** Asks one bucket. */
export interface GcsClient {
  /** Lists page by page, as they are asked for. */
  list(options: GcsListOptions): AsyncIterable<GcsPage>;
  /** The bytes of an object as they are stored. */
  get(name: string, options?: GcsGetOptions): Promise<ReadableStream<Uint8Array>>;
  /** Stores an object unless one of that name is there, which counts as done. */
  create(name: string, body: string, contentType: string, signal?: AbortSignal): Promise<void>;
}

const SCOPE = "https://www.googleapis.com/auth/devstorage.read_write";
// 1,000 names of 1,024 bytes, escaped and with their hashes, stay below.
const MAX_LISTING_BYTES = 16 * 1024 * 1024;

/**
 * Opens a bucket. Nothing is sent before the first question.
 *
 * Every failure is a DewyError with the server's own words: a refusal is a CredentialError that says which credentials
 * were used or where dewy looked for some, a missing bucket or object a NotFoundError, an object that was replaced
 * meanwhile an IntegrityError.
 *
 * @param bucket the bucket's name.
 * @param io the world; `STORAGE_EMULATOR_HOST` names a server that wants no credentials.
 * @returns the client.
 * @throws ConfigError when the bucket or a variable cannot be part of an address.
 */
export function createGcsClient(
  bucket: string,
  io: GoogleAuthIo & { token?: string | undefined },
): GcsClient {
  const address = gcsAddress(bucket, io.env);
  const auth = address.isEmulator ? undefined : authOf(io);
  const http = createHttpClient(io);
  const toError = gcsError(bucket, auth);
  let announced = false;

  async function complete(request: HttpRequest): Promise<HttpRequest> {
    const credentials = (await auth?.headers(request.signal)) ?? {};
    if (auth !== undefined && auth.source === undefined && !announced) {
      announced = true;
      io.emit({ type: "anonymous", host: new URL(address.bucket).host });
    }
    const headers = { ...request.headers, ...credentials };
    return { ...request, headers, toError, redirect: "error" };
  }

  /** A token that was revoked is replaced once; without one, credentials are looked for anew the next time. */
  async function authorized<T>(
    request: HttpRequest,
    send: (request: HttpRequest) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      const ready = await complete(request);
      let isRejected = false;
      try {
        return await send({
          ...ready,
          toError: (failure) => {
            const isAnonymous = auth?.source === undefined;
            isRejected = failure.status === 401 || (failure.status === 403 && isAnonymous);
            return toError(failure);
          },
        });
      } catch (error) {
        if (!isRejected || !auth?.forget() || attempt > 1) throw error;
      }
    }
  }

  const gcs: HttpClient = {
    send: (request) => authorized(request, (ready) => http.send(ready)),
    text: (request, maxBytes) => authorized(request, (ready) => http.text(ready, maxBytes)),
    json: (request) => authorized(request, (ready) => http.json(ready)),
  };
  return {
    list: (options) => listPages(gcs, address.bucket, options),
    get: async (name, options = {}) => get(gcs, address.object(name), options),
    create: (name, body, contentType, signal) =>
      create(gcs, address.upload(name), { body, contentType, signal }),
  };
}

function authOf(io: GoogleAuthIo & { token?: string | undefined }): GoogleAuth {
  const { token } = io;
  if (token === undefined) return googleAuth(io, SCOPE);
  const headers = { authorization: `Bearer ${token}` };
  return {
    headers: async () => headers,
    source: "the option token",
    looked: [],
    forget: () => false,
  };
}

/** https://cloud.google.com/storage/docs/json_api/v1/objects/list */
async function* listPages(
  http: HttpClient,
  bucketUrl: string,
  options: GcsListOptions,
): AsyncGenerator<GcsPage> {
  const { prefix, directories = false, maxResults, signal } = options;
  let token: string | undefined;
  do {
    const url = new URL(`${bucketUrl}/o`);
    url.searchParams.set("prefix", prefix);
    if (directories) url.searchParams.set("delimiter", "/");
    if (maxResults !== undefined) url.searchParams.set("maxResults", String(maxResults));
    if (token !== undefined) url.searchParams.set("pageToken", token);
    url.searchParams.set("fields", PAGE_FIELDS);
    const answer = await http.json({ url, signal, maxBytes: MAX_LISTING_BYTES });
    const page = parsePage(answer, url.href);
    if (page.next !== undefined && page.next === token) {
      throw new RemoteError(
        `Cannot read the listing ${redactUrl(url)}: it goes on with itself; is this Google Cloud Storage?`,
        { method: "GET", url: redactUrl(url) },
      );
    }
    yield page;
    token = page.next;
  } while (token !== undefined);
}

/** https://cloud.google.com/storage/docs/json_api/v1/objects/get */
function get(
  http: HttpClient,
  objectUrl: string,
  options: GcsGetOptions,
): Promise<ReadableStream<Uint8Array>> {
  const url = new URL(objectUrl);
  url.searchParams.set("alt", "media");
  if (options.generation !== undefined) {
    url.searchParams.set("ifGenerationMatch", options.generation);
  }
  return openRange(
    { ...http, send: async (request) => refuseTranscoded(url, await http.send(request)) },
    { url, signal: options.signal },
    // It identifies the bytes; the entity tag changes with the metadata, too.
    { ...options, identify: (headers) => headers.get("x-goog-generation") },
  );
}

/**
 * Without `Accept-Encoding: gzip`, the server unpacks what is stored as gzip, and knows neither ranges nor checksums of
 * it; with it, `fetch` would unpack it. https://cloud.google.com/storage/docs/transcoding
 */
async function refuseTranscoded(url: URL, response: Response): Promise<Response> {
  const encodings = ["x-goog-stored-content-encoding", "content-encoding"]
    .map((name) => response.headers.get(name) ?? "identity")
    .filter((encoding) => encoding !== "identity" && encoding !== "");
  const [encoding] = encodings;
  if (encoding === undefined) return response;
  await response.body?.cancel();
  throw new IntegrityError(
    `Cannot download ${redactUrl(url)}: it is stored with Content-Encoding ${encoding}, so that its bytes change on the way; store it without`,
    { retryable: false },
  );
}

/** https://cloud.google.com/storage/docs/json_api/v1/objects/insert */
async function create(
  http: HttpClient,
  url: string,
  what: { body: string; contentType: string; signal: AbortSignal | undefined },
): Promise<void> {
  const response = await http.send({
    method: "POST",
    url,
    headers: { "content-type": what.contentType },
    body: what.body,
    idempotent: true,
    accept: [412],
    signal: what.signal,
  });
  await response.body?.cancel();
}
