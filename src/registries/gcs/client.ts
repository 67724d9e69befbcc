import { GoogleAuth, type GoogleAuthContext } from "../../auth/google/client.ts";
import { googleUniverse } from "../../auth/google/universe.ts";
import type { Environment } from "../../core/environment.ts";
import { ConfigError, IntegrityError, RemoteError } from "../../core/error.ts";
import { readBaseUrl, redactUrl } from "../../core/url.ts";
import { createHttpClient, type HttpClient, type HttpRequest } from "../../http/client.ts";
import { openRange, type RangeOptions } from "../../http/range.ts";
import { gcsError } from "./errors.ts";
import { type GcsPage, PAGE_FIELDS, parsePage } from "./schema.ts";

export interface GcsListOptions {
  prefix: string;
  /** Whether to list "directories" up to the next `/`, instead of all objects below the prefix. Defaults to false. */
  directories?: boolean;
  /** Limit for the names of a page. Defaults to the server's own limit, 1,000. */
  maxResults?: number;
  signal?: AbortSignal | undefined;
}

export interface GcsGetOptions extends RangeOptions {
  generation?: string | undefined;
  signal?: AbortSignal | undefined;
}

export type GcsContext = GoogleAuthContext & { token?: string | undefined };

const SCOPE = "https://www.googleapis.com/auth/devstorage.read_write";
// Enough for 1,000 escaped names of 1,024 bytes with their hashes.
const MAX_LISTING_BYTES = 16 * 1024 * 1024;

/**
 * Opens a bucket. No request is sent until a method is called.
 *
 * Every failure is a DewyError with the server's own message: a CredentialError for a refusal, with the credentials that
 * were used or the sources that were tried, a NotFoundError for a missing bucket or object, an IntegrityError for an
 * object that was replaced in the meantime.
 */
export function createGcsClient(bucket: string, context: GcsContext) {
  const address = gcsAddress(bucket, context.env);
  const gcs = gcsHttp(bucket, address, context);
  return {
    list: (options: GcsListOptions) => listPages(gcs, address.bucket, options),
    get: async (name: string, options: GcsGetOptions = {}) =>
      get(gcs, address.object(name), options),
    /** An existing object of that name counts as success. */
    create: (name: string, body: string, contentType: string, signal?: AbortSignal) =>
      create(gcs, address.upload(name), { body, contentType, signal }),
  };
}

export type GcsClient = ReturnType<typeof createGcsClient>;

/** A client whose requests carry credentials. */
export function gcsHttp(bucket: string, address: GcsAddress, context: GcsContext): HttpClient {
  const auth = address.isEmulator ? undefined : authOf(context);
  const http = createHttpClient({ service: "Google Cloud Storage", ...context });
  const toError = gcsError(bucket, auth);
  let isAnnounced = false;

  /** A revoked token is replaced once; without a token, credentials are searched for again the next time. */
  async function authorized<T>(
    request: HttpRequest,
    send: (request: HttpRequest) => Promise<T>,
  ): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      const credentials = (await auth?.headers(request.signal)) ?? {};
      if (auth !== undefined && auth.source === undefined && !isAnnounced) {
        isAnnounced = true;
        context.emit({ type: "anonymous", host: new URL(address.bucket).host });
      }
      let isRejected = false;
      try {
        return await send({
          ...request,
          headers: { ...request.headers, ...credentials },
          redirect: "error",
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

  return {
    send: (request) => authorized(request, (ready) => http.send(ready)),
    text: (request, maxBytes) => authorized(request, (ready) => http.text(ready, maxBytes)),
    json: (request) => authorized(request, (ready) => http.json(ready)),
  };
}

/** The part of GoogleAuth that a client uses, so that a token given in code can stand in for it. */
type GcsAuth = Pick<GoogleAuth, "headers" | "source" | "tried" | "forget">;

function authOf(context: GcsContext): GcsAuth {
  const { token } = context;
  if (token === undefined) return new GoogleAuth(context, SCOPE);
  const headers = { authorization: `Bearer ${token}` };
  return {
    headers: async () => headers,
    source: "the option token",
    tried: [],
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
    const response = await http.json({ url, signal, maxBytes: MAX_LISTING_BYTES });
    const page = parsePage(response, url.href);
    if (page.next !== undefined && page.next === token) {
      throw new RemoteError(
        `Cannot read the listing ${redactUrl(url)}: its next page is the same page; is this Google Cloud Storage?`,
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
    // The generation identifies the bytes; the entity tag also changes with the metadata.
    { ...options, identify: (headers) => headers.get("x-goog-generation") },
  );
}

/**
 * Without `Accept-Encoding: gzip`, the server decompresses gzip objects and supports neither ranges nor checksums of them;
 * with it, `fetch` would decompress them. https://cloud.google.com/storage/docs/transcoding
 */
async function refuseTranscoded(url: URL, response: Response): Promise<Response> {
  const encodings = ["x-goog-stored-content-encoding", "content-encoding"]
    .map((name) => response.headers.get(name) ?? "identity")
    .filter((encoding) => encoding !== "identity" && encoding !== "");
  const [encoding] = encodings;
  if (encoding === undefined) return response;
  await response.body?.cancel();
  throw new IntegrityError(
    `Cannot download ${redactUrl(url)}: it is stored with Content-Encoding ${encoding}, so that its bytes change in transit; store it without`,
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

export interface GcsAddress {
  /** Whether the server is an emulator, which requires no credentials. */
  isEmulator: boolean;
  /** Without a trailing slash. */
  bucket: string;
  object(name: string): string;
  upload(name: string): string;
}

const EMULATOR = "STORAGE_EMULATOR_HOST";

/** https://cloud.google.com/storage/docs/request-endpoints#json-api */
export function gcsAddress(bucket: string, env: Environment): GcsAddress {
  if (/^\.{1,2}$|[/\\]/.test(bucket)) {
    throw new ConfigError(`Invalid bucket name "${bucket}"`);
  }
  const emulator = emulatorAddress(env[EMULATOR] ?? "");
  const base = emulator ?? `https://storage.${googleUniverse(env)}`;
  const path = `storage/v1/b/${encodeURIComponent(bucket)}`;
  return {
    isEmulator: emulator !== undefined,
    bucket: `${base}/${path}`,
    object: (name) => `${base}/${path}/o/${encodeName(name)}`,
    // Permission to create objects does not include permission to replace them.
    upload: (name) =>
      `${base}/upload/${path}/o?uploadType=media&ifGenerationMatch=0&name=${encodeURIComponent(name)}`,
  };
}

function emulatorAddress(text: string): string | undefined {
  if (text === "") return undefined;
  const full = text.includes("://") ? text : `http://${text}`;
  const url = readBaseUrl(full);
  if (url !== undefined) return url;
  throw new ConfigError(
    `Cannot use ${EMULATOR} "${redactUrl(text)}": expected <host>:<port> or http://<host>:<port>`,
  );
}

/** An object's name is one path segment with escaped slashes, so that only these two names would be resolved. */
function encodeName(name: string): string {
  if (name !== "." && name !== "..") return encodeURIComponent(name);
  throw new ConfigError(`Invalid object name "${name}"`);
}
