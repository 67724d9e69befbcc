import { bytesToBase64, sha256 } from "../../core/encoding.ts";
import { RemoteError } from "../../core/error.ts";
import { createHttpClient, type HttpRequest, type HttpText } from "../../http/client.ts";
import { bucketAddress, objectAddress, type S3Bucket } from "../../registries/s3/address.ts";
import {
  type S3Context,
  s3Credentials,
  s3Signer,
  withEndpoint,
} from "../../registries/s3/client.ts";
import { s3Error } from "../../registries/s3/errors.ts";
import { parseS3Error } from "../../registries/s3/xml.ts";

type Body = string | Uint8Array<ArrayBuffer>;
type Request = Omit<HttpRequest, "url">;
export type S3CacheClient = ReturnType<typeof createS3CacheClient>;

export interface PutOptions {
  /** Headers with a condition. */
  condition?: Readonly<Record<string, string>> | undefined;
  contentType: string;
  signal?: AbortSignal | undefined;
}

/** A multipart upload that was begun. */
export interface S3Upload {
  key: string;
  id: string;
  startedAt: number;
}

/** Another client created or changed the object, or is doing so. */
const CONFLICTS = new Set(["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"]);
const PART_TIMEOUT_MS = 300_000;
const ABORT_MS = 10_000;
const BINARY = { "content-type": "application/octet-stream" };
const IF_NEW = { "if-none-match": "*" };

/** The requests to S3 that only a cache sends. */
export function createS3CacheClient(at: S3Bucket, context: S3Context) {
  const http = createHttpClient({ service: "S3", ...context });
  let located: Promise<S3Bucket> | undefined;
  const locate = (): Promise<S3Bucket> => {
    located ??= withEndpoint(at, context);
    return located;
  };
  const access = { isAnonymous: false };
  const findKeys = async () => s3Credentials(await locate(), context, access);
  const sign = s3Signer(at.region, findKeys, context.clock);
  const complete = async (url: string, request: Request): Promise<HttpRequest> => {
    const toError = s3Error(await locate(), () => access.isAnonymous);
    return { timeoutMs: PART_TIMEOUT_MS, ...request, url, sign, toError, redirect: "error" };
  };
  const urlOf = async (key: string): Promise<string> => objectAddress(await locate(), key);
  const send = async (key: string, query: string, request: Request): Promise<HttpText> =>
    http.text(await complete(`${await urlOf(key)}${query}`, request));

  /** Sends a write that a condition may stop; `undefined` if it did. */
  async function sendIf(key: string, query: string, request: Request) {
    const { accept = [] } = request;
    const response = await send(key, query, { ...request, accept: [...accept, 404, 409, 412] });
    if (accept.includes(response.status)) return response;
    const { code, message } = parseS3Error(response.text);
    // A completed upload can fail although its status is 200.
    if (response.status < 300 && code === "") return response;
    if (CONFLICTS.has(code)) return undefined;
    throw new RemoteError(
      `Cannot write "${key}" to the bucket "${at.bucket}": ${code || `status ${response.status}`} ${message.slice(0, 200)}; check the bucket`,
      { status: response.status, retryable: response.status < 300 },
    );
  }

  /** Sends a write that replaces no object; returns whether there was none. */
  async function sendNew(key: string, query: string, request: Request): Promise<boolean> {
    const headers = { ...request.headers, ...IF_NEW };
    const done = await sendIf(key, query, { ...request, headers, accept: [501] });
    // Some services refuse the condition.
    if (done?.status === 501) await send(key, query, request);
    return done !== undefined;
  }

  /** https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html */
  async function sendParts(
    key: string,
    query: string,
    parts: AsyncIterable<Uint8Array<ArrayBuffer>>,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    let number = 0;
    let xml = "";
    for await (const body of parts) {
      number += 1;
      const request = { method: "PUT", body, signal };
      const sent = await send(key, `?partNumber=${number}&${query.slice(1)}`, request);
      const etag = etagOf(sent, key).replaceAll('"', "&quot;");
      xml += `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`;
    }
    return `<CompleteMultipartUpload>${xml}</CompleteMultipartUpload>`;
  }

  const client = {
    /** Rejects with a NotFoundError if there is none. */
    async get(key: string, signal?: AbortSignal): Promise<Response> {
      return http.send(await complete(await urlOf(key), { signal }));
    },
    /** The entity tag; `undefined` if the condition does not hold. */
    async put(
      key: string,
      body: Body,
      { condition, contentType, signal }: PutOptions,
    ): Promise<string | undefined> {
      const headers = { "content-type": contentType, ...(await checksum(body)), ...condition };
      const response = await sendIf(key, "", { method: "PUT", headers, body, signal });
      return response && etagOf(response, key);
    },
    /** An object of that key stays as it is. */
    async create(key: string, body: Body, signal?: AbortSignal): Promise<void> {
      const headers = { ...BINARY, ...(await checksum(body)) };
      await sendNew(key, "", { method: "PUT", headers, body, signal, idempotent: true });
    },
    async remove(key: string, signal?: AbortSignal): Promise<void> {
      await send(key, "", { method: "DELETE", signal, accept: [404] });
    },
    /** Uploads in parts, unless there is such an object when all have arrived. */
    async uploadParts(
      key: string,
      parts: AsyncIterable<Uint8Array<ArrayBuffer>>,
      signal?: AbortSignal,
    ): Promise<void> {
      // https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
      const begun = await send(key, "?uploads=", { method: "POST", headers: BINARY, signal });
      const id = textIn(begun.text, "UploadId");
      if (id === "") {
        throw new RemoteError(
          `Cannot upload "${key}": the response has no UploadId; check the endpoint`,
        );
      }
      const query = queryOf(id);
      let isDone = false;
      try {
        const body = await sendParts(key, query, parts, signal);
        const headers = { "content-type": "application/xml" };
        // https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
        isDone = await sendNew(key, query, { method: "POST", headers, body, signal });
      } finally {
        const limited = AbortSignal.timeout(ABORT_MS);
        if (!isDone) await client.abort({ key, id }, limited).catch(() => {});
      }
    },
    /** At most a page of them. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html */
    async uploads(prefix: string, signal?: AbortSignal): Promise<readonly S3Upload[]> {
      const query = `?uploads=&encoding-type=url&prefix=${encodeURIComponent(prefix)}`;
      const url = `${bucketAddress(await locate())}${query}`;
      const { text } = await http.text(await complete(url, { signal }));
      const isEncoded = textIn(text, "EncodingType") === "url";
      return [...text.matchAll(/<Upload>(.*?)<\/Upload>/gs)].map(([, upload = ""]) => {
        const key = textIn(upload, "Key");
        return {
          key: isEncoded ? decodeURIComponent(key.replaceAll("+", " ")) : key,
          id: textIn(upload, "UploadId"),
          startedAt: Date.parse(textIn(upload, "Initiated")),
        };
      });
    },
    /** https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html */
    async abort({ key, id }: Pick<S3Upload, "key" | "id">, signal?: AbortSignal): Promise<void> {
      await send(key, queryOf(id), { method: "DELETE", signal, accept: [404] });
    },
  };
  return client;
}

function queryOf(uploadId: string): string {
  return `?uploadId=${encodeURIComponent(uploadId)}`;
}

function textIn(xml: string, tag: string): string {
  return new RegExp(`<${tag}>([^<]{1,4096})</${tag}>`).exec(xml)?.[1] ?? "";
}

async function checksum(body: Body): Promise<Record<string, string>> {
  return { "x-amz-checksum-sha256": bytesToBase64(await sha256(body)) };
}

function etagOf({ headers }: HttpText, key: string): string {
  const etag = headers.get("etag") ?? "";
  if (etag !== "") return etag;
  throw new RemoteError(`Cannot write "${key}": the response has no ETag; check the endpoint`, {
    retryable: false,
  });
}
