import { bytesToBase64, sha256 } from "../../core/encoding.ts";
import { RemoteError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import { createHttpClient, type HttpRequest, type HttpText } from "../../http/client.ts";
import { objectAddress, type S3Bucket } from "../../registries/s3/address.ts";
import {
  type S3Context,
  s3Credentials,
  s3Signer,
  withEndpoint,
} from "../../registries/s3/client.ts";
import { s3Error } from "../../registries/s3/errors.ts";
import { parseS3Error } from "../../registries/s3/xml.ts";

type Body = string | Uint8Array<ArrayBuffer>;

export interface S3WriteClient {
  /** The entity tag; `undefined` if the condition does not hold. */
  put(key: string, body: Body, options: PutOptions): Promise<string | undefined>;
  remove(key: string, signal?: AbortSignal): Promise<void>;
  /** Uploads in parts, unless there is such an object when all have arrived. */
  uploadParts(
    key: string,
    parts: AsyncIterable<Uint8Array<ArrayBuffer>>,
    signal?: AbortSignal,
  ): Promise<void>;
}

export interface PutOptions {
  condition?: Readonly<Record<string, string>> | undefined;
  contentType: string;
  signal?: AbortSignal | undefined;
}

/** Another client created or changed the object, or is doing so. */
const CONFLICTS = new Set(["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"]);
const PART_TIMEOUT_MS = 300_000;
const IF_NEW = { "if-none-match": "*" };

/** The requests to S3 that only a cache sends. */
export function createS3WriteClient(at: S3Bucket, context: S3Context): S3WriteClient {
  const http = createHttpClient({ service: "S3", ...context });
  let located: Promise<S3Bucket> | undefined;
  const locate = (): Promise<S3Bucket> => {
    located ??= withEndpoint(at, context);
    return located;
  };
  const access = { isAnonymous: false };
  const findKeys = async () => s3Credentials(await locate(), context, access);
  const sign = s3Signer(at.region, findKeys, context.clock);

  async function send(
    key: string,
    query: string,
    request: Omit<HttpRequest, "url">,
  ): Promise<HttpText> {
    const bucket = await locate();
    const url = `${objectAddress(bucket, key)}${query}`;
    const toError = s3Error(bucket, () => access.isAnonymous);
    return http.text({ ...request, url, sign, toError, redirect: "error" });
  }

  /** Sends a request that a condition may stop; `undefined` if it did. */
  async function sendIf(
    key: string,
    query: string,
    request: Omit<HttpRequest, "url">,
  ): Promise<HttpText | undefined> {
    const response = await send(key, query, {
      ...request,
      accept: [...(request.accept ?? []), 404, 409, 412],
    });
    if (request.accept?.includes(response.status)) return response;
    if (response.status < 300 && !isError(response)) return response;
    const { code, message } = parseS3Error(response.text);
    if (CONFLICTS.has(code)) return undefined;
    throw new RemoteError(
      `Cannot write "${key}" to the bucket "${at.bucket}": ${code || `status ${response.status}`} ${message.slice(0, 200)}; check the bucket`,
      { status: response.status, retryable: response.status < 300 },
    );
  }

  const client: S3WriteClient = {
    async put(key, body, { condition, contentType, signal }) {
      const headers = {
        "content-type": contentType,
        "x-amz-checksum-sha256": bytesToBase64(await sha256(body)),
        ...condition,
      };
      const response = await sendIf(key, "", {
        method: "PUT",
        headers,
        body,
        signal,
        timeoutMs: PART_TIMEOUT_MS,
      });
      return response === undefined ? undefined : etagOf(response, key);
    },
    async remove(key, signal) {
      const { status, text } = await send(key, "", { method: "DELETE", signal, accept: [404] });
      if (status === 404 && parseS3Error(text).code === "NoSuchBucket") {
        throw new RemoteError(
          `Cannot remove "${key}": there is no bucket "${at.bucket}"; create it`,
        );
      }
    },
    async uploadParts(key, parts, signal) {
      const id = await begin(key, signal);
      const query = `?uploadId=${encodeURIComponent(id)}`;
      try {
        await complete(key, query, await sendParts(key, query, parts, signal), signal);
      } catch (error) {
        await send(key, query, { method: "DELETE" }).catch(() => {});
        throw error;
      }
    },
  };
  return client;

  /** https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html */
  async function begin(key: string, signal: AbortSignal | undefined): Promise<string> {
    const headers = { "content-type": "application/octet-stream" };
    const { text } = await send(key, "?uploads=", { method: "POST", headers, signal });
    const id = /<UploadId>([^<]{1,1024})<\/UploadId>/.exec(text)?.[1];
    if (id !== undefined) return id;
    throw new RemoteError(
      `Cannot upload "${key}": the response has no UploadId; check the endpoint`,
    );
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
      const response = await send(key, `?partNumber=${number}&${query.slice(1)}`, {
        method: "PUT",
        body,
        signal,
        timeoutMs: PART_TIMEOUT_MS,
      });
      const etag = etagOf(response, key).replaceAll('"', "&quot;");
      xml += `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`;
    }
    return `<CompleteMultipartUpload>${xml}</CompleteMultipartUpload>`;
  }

  /** https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html */
  async function complete(
    key: string,
    query: string,
    body: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const request = { method: "POST", body, signal, timeoutMs: PART_TIMEOUT_MS };
    const headers = { "content-type": "application/xml", ...IF_NEW };
    const done = await sendIf(key, query, { ...request, headers, accept: [501] });
    // Some services refuse the condition.
    if (done?.status === 501) await send(key, query, request);
    if (done === undefined) await send(key, query, { method: "DELETE", signal }).catch(() => {});
  }
}

/** A completed upload can fail although its status is 200. */
function isError({ text }: HttpText): boolean {
  return parseS3Error(text).code !== "";
}

function etagOf({ headers }: HttpText, key: string): string {
  const etag = headers.get("etag") ?? "";
  if (etag !== "") return etag;
  throw new RemoteError(`Cannot write "${key}": the response has no ETag; check the endpoint`, {
    url: redactUrl(key),
    retryable: false,
  });
}
