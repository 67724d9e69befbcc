import * as v from "valibot";
import { IntegrityError, RemoteError } from "../../core/error.ts";
import { redactUrl } from "../../core/url.ts";
import type { HttpClient, HttpText } from "../../http/client.ts";
import { parseJson, parseSchema } from "../../http/json.ts";
import { type GcsContext, gcsAddress, gcsHttp } from "../../registries/gcs/client.ts";

export interface GcsCacheClient {
  /** Rejects with a NotFoundError if there is none. */
  get(name: string, signal?: AbortSignal): Promise<Response>;
  /** The generation; `undefined` if the object has another one than `generation`, which is `0` for none. */
  put(
    name: string,
    body: string | Uint8Array<ArrayBuffer>,
    options: {
      generation?: string | undefined;
      contentType: string;
      signal?: AbortSignal | undefined;
    },
  ): Promise<string | undefined>;
  remove(name: string, signal?: AbortSignal): Promise<void>;
  /** Uploads in parts, unless there is such an object when all have arrived. */
  uploadParts(
    name: string,
    bytes: number,
    parts: AsyncIterable<Uint8Array<ArrayBuffer>>,
    signal?: AbortSignal,
  ): Promise<void>;
}

const PART_TIMEOUT_MS = 300_000;
/** A server that stores nothing of a part several times in a row will not store the rest either. */
const MAX_STALLS = 5;
const Written = v.object({ generation: v.pipe(v.string(), v.regex(/^\d{1,20}$/)) });

/** The requests to Google Cloud Storage that only a cache sends. */
export function createGcsCacheClient(bucket: string, context: GcsContext): GcsCacheClient {
  const address = gcsAddress(bucket, context.env);
  const http = gcsHttp(bucket, address, context);
  const uploadUrl = (type: string, name: string, generation?: string): URL => {
    const url = new URL(address.upload(name));
    url.searchParams.set("uploadType", type);
    if (generation === undefined) url.searchParams.delete("ifGenerationMatch");
    else url.searchParams.set("ifGenerationMatch", generation);
    return url;
  };
  return {
    /** https://cloud.google.com/storage/docs/json_api/v1/objects/get */
    get: (name, signal) => http.send({ url: `${address.object(name)}?alt=media`, signal }),
    /** https://cloud.google.com/storage/docs/json_api/v1/objects/insert */
    async put(name, body, { generation, contentType, signal }) {
      const url = uploadUrl("media", name, generation);
      const response = await http.text({
        method: "POST",
        url,
        headers: { "content-type": contentType },
        body,
        // A conditional write that is sent twice can conflict with itself.
        idempotent: generation === undefined,
        accept: [412],
        timeoutMs: PART_TIMEOUT_MS,
        signal,
      });
      return response.status === 412 ? undefined : generationOf(response, url);
    },
    async remove(name, signal) {
      await http.text({ method: "DELETE", url: address.object(name), accept: [404], signal });
    },
    async uploadParts(name, bytes, parts, signal) {
      const session = await begin(http, uploadUrl("resumable", name, "0"), signal);
      if (session === undefined) return;
      let sent = 0;
      for await (const part of parts) {
        if (await sendPart(http, { session, part, from: sent, bytes, signal })) return;
        sent += part.length;
      }
    },
  };
}

/** https://cloud.google.com/storage/docs/performing-resumable-uploads */
async function begin(
  http: HttpClient,
  url: URL,
  signal: AbortSignal | undefined,
): Promise<URL | undefined> {
  const { status, headers } = await http.text({
    method: "POST",
    url,
    headers: {
      "content-type": "application/json",
      "x-upload-content-type": "application/octet-stream",
    },
    body: "{}",
    idempotent: true,
    accept: [412],
    signal,
  });
  if (status === 412) return undefined;
  const location = headers.get("location") ?? "";
  const session = URL.canParse(location, url) ? new URL(location, url) : undefined;
  // The token goes to no other server.
  if (session?.origin === url.origin) return session;
  throw new RemoteError(
    `Cannot upload to ${redactUrl(url)}: the response names no session on this server; check the endpoint`,
    { retryable: false },
  );
}

interface Part {
  session: URL;
  part: Uint8Array<ArrayBuffer>;
  /** The position of its first byte. */
  from: number;
  bytes: number;
  signal: AbortSignal | undefined;
}

/** Sends a part until the server has stored all of it. Returns whether the upload has ended. */
async function sendPart(
  http: HttpClient,
  { session, part, from, bytes, signal }: Part,
): Promise<boolean> {
  let stored = 0;
  for (let stalls = 0; stalls < MAX_STALLS; ) {
    const first = from + stored;
    const last = from + part.length - 1;
    const { status, headers } = await http.text({
      method: "PUT",
      url: session,
      headers: { "content-range": `bytes ${first}-${last}/${bytes}` },
      body: part.subarray(stored),
      accept: [308, 412],
      timeoutMs: PART_TIMEOUT_MS,
      signal,
    });
    if (status !== 308) return true;
    const [, end] = /^bytes=0-(\d{1,15})$/.exec(headers.get("range") ?? "") ?? [];
    const now = (end === undefined ? 0 : Number(end) + 1) - from;
    if (now < stored || now > part.length) break;
    if (now === part.length) return false;
    stalls = now === stored ? stalls + 1 : 0;
    stored = now;
  }
  throw new IntegrityError(
    `Cannot upload to ${redactUrl(session)}: the server does not have the bytes from ${from} on; start again`,
  );
}

function generationOf({ text }: HttpText, url: URL): string {
  const written = parseJson(text, url, "is this Google Cloud Storage?");
  return parseSchema(
    Written,
    written,
    (problem) =>
      new RemoteError(
        `Cannot read the response of ${redactUrl(url)}: ${problem}; check the endpoint`,
      ),
  ).generation;
}
