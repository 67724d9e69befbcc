import { IntegrityError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";
import type { HttpClient, HttpRequest } from "./client.ts";

/** Which bytes to download, and how to tell that they are the right ones. */
export interface RangeOptions {
  /** The first byte wanted. Defaults to 0. */
  offset?: number | undefined;
  /** The bytes that the whole file must have. Defaults to any number. */
  size?: number | undefined;
  /** What identifies the bytes before the offset. Defaults to no check. */
  validator?: string | undefined;
  /** Receives what identifies the bytes that come. */
  onValidator?: ((validator: string | undefined) => void) | undefined;
  /** Reads a server's own identifier, where it has a better one than HTTP's. Defaults to none. */
  identify?: ((headers: Headers) => string | null) | undefined;
}

/**
 * Downloads something from a byte on. If the server ignores the range and sends everything, the bytes before the offset
 * are skipped. See https://www.rfc-editor.org/rfc/rfc9110#section-14.
 *
 * @param http the client.
 * @param request what to get; `Range` and `If-Range` headers are added.
 * @param options which bytes.
 * @returns the bytes from there on; empty when the offset is the very end.
 * @throws IntegrityError if the server sends another part than the one requested, a file of another size, or a file that
 * has changed since the bytes before the offset were sent; else as {@link HttpClient.send}.
 */
export async function openRange(
  http: HttpClient,
  request: HttpRequest,
  options: RangeOptions = {},
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const { offset = 0, validator, onValidator } = options;
  const headers: Record<string, string> = { "accept-encoding": "identity", ...request.headers };
  if (offset === 0) {
    const response = await http.send({ ...request, headers });
    assertSize(response, contentLength(response), request, options);
    onValidator?.(validatorOf(response, options));
    return bodyOf(response);
  }
  const condition: Record<string, string> = isOfHttp(validator) ? { "if-range": validator } : {};
  const response = await http.send({
    ...request,
    headers: { ...headers, range: `bytes=${offset}-`, ...condition },
    accept: [...(request.accept ?? []), 416],
  });
  const refuse = (why: string): never => {
    hangUp(response);
    throw new IntegrityError(`Cannot resume ${redactUrl(request.url)} at byte ${offset}: ${why}`);
  };
  if (response.status === 416) {
    const range = response.headers.get("content-range") ?? "";
    if (range !== `bytes */${offset}`) refuse(`the server has "${range}"; start again`);
    hangUp(response);
    return bodyOf(new Response(null));
  }
  const answered = validatorOf(response, options);
  if (response.status === 206) {
    const range = response.headers.get("content-range") ?? "";
    const [, start, total = "*"] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
    if (Number(start) !== offset) refuse(`the server sent "${range}"`);
    assertSize(response, total === "*" ? undefined : Number(total), request, options);
    // A server need not repeat the validator that it has just compared.
    if (answered !== undefined && isOther(answered, validator)) refuse(CHANGED);
    onValidator?.(validator ?? answered);
    return bodyOf(response);
  }
  assertSize(response, contentLength(response), request, options);
  if (validator !== undefined && answered !== validator) refuse(CHANGED);
  onValidator?.(answered);
  return bodyOf(response).pipeThrough(skipBytes(offset, request.url));
}

const CHANGED = "the file has changed since; start again";

/** Whether a validator is an entity tag or a date, which `If-Range` can have. */
function isOfHttp(validator: string | undefined): validator is string {
  return validator !== undefined && /^"|GMT$/.test(validator);
}

/** Entity tags and dates cannot be compared with each other. */
function isOther(answered: string, validator: string | undefined): boolean {
  return validator?.startsWith('"') === answered.startsWith('"') && answered !== validator;
}

/** A date identifies a file only if it was not written in the same minute: clocks of servers differ a little. */
const DATE_MARGIN_MS = 60_000;

/**
 * What can be used in `If-Range`: a strong entity tag, or a date that is strong.
 * https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5
 */
function validatorOf({ headers }: Response, { identify }: RangeOptions): string | undefined {
  const own = identify?.(headers) ?? undefined;
  if (own !== undefined) return own;
  // What `fetch` decodes has other positions than what the server sends.
  if ((headers.get("content-encoding") ?? "identity") !== "identity") return undefined;
  const etag = headers.get("etag") ?? "";
  if (/^"[^"]*"$/.test(etag)) return etag;
  // A server that sends a weak tag does not vouch for the bytes.
  if (etag.startsWith("W/")) return undefined;
  const modified = headers.get("last-modified") ?? "";
  const age = Date.parse(headers.get("date") ?? "") - Date.parse(modified);
  return age >= DATE_MARGIN_MS ? modified : undefined;
}

/** The length of the whole answer; `undefined` where the server does not state it, or states that of encoded bytes. */
function contentLength({ headers }: Response): number | undefined {
  const length = headers.get("content-length") ?? "";
  const isPlain = (headers.get("content-encoding") ?? "identity") === "identity";
  return isPlain && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** An answer of another length is another file, such as the page of a proxy; not the beginning of this one. */
function assertSize(
  response: Response,
  length: number | undefined,
  request: HttpRequest,
  { size }: RangeOptions,
): void {
  if (length === undefined || size === undefined || length === size) return;
  hangUp(response);
  throw new IntegrityError(
    `Cannot download ${redactUrl(request.url)}: the server sends a file of ${length} bytes, but the registry states ${size}`,
  );
}

/** Nobody waits for a connection to close. */
function hangUp(response: Response): void {
  response.body?.cancel().catch(() => {});
}

function bodyOf(response: Response): ReadableStream<Uint8Array<ArrayBuffer>> {
  return response.body ?? new ReadableStream({ start: (controller) => controller.close() });
}

function skipBytes(
  count: number,
  url: string | URL,
): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  let left = count;
  return new TransformStream({
    transform(chunk, controller) {
      const skipped = Math.min(left, chunk.byteLength);
      left -= skipped;
      if (skipped < chunk.byteLength) controller.enqueue(chunk.subarray(skipped));
    },
    flush() {
      if (left === 0) return;
      throw new IntegrityError(
        `Cannot resume ${redactUrl(url)} at byte ${count}: it ends ${left} bytes earlier; start again`,
      );
    },
  });
}
