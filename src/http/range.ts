import { IntegrityError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";
import { contentLength, discardBody, isEncoded } from "./body.ts";
import type { HttpClient, HttpRequest } from "./client.ts";

/** Which bytes to download, and how to check that they belong to the right file. */
export interface RangeOptions {
  offset?: number | undefined;
  size?: number | undefined;
  /** What identifies the bytes before the offset. Defaults to no check. */
  validator?: string | undefined;
  onValidator?: ((validator: string | undefined) => void) | undefined;
  /** Reads the server's own identifier, if it has a better one than HTTP's. */
  identify?: ((headers: Headers) => string | null) | undefined;
}

/**
 * Downloads a file from an offset on; the stream is empty at its very end. If the server ignores the range and sends the
 * whole file, the bytes before the offset are skipped. See https://www.rfc-editor.org/rfc/rfc9110#section-14.
 *
 * @throws {IntegrityError} If the server sends a range other than the one requested, a file of another size, or a file
 *   that has changed since the bytes before the offset were downloaded.
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
    discardBody(response);
    throw new IntegrityError(`Cannot resume ${redactUrl(request.url)} at byte ${offset}: ${why}`);
  };
  if (response.status === 416) {
    const range = response.headers.get("content-range") ?? "";
    if (range !== `bytes */${offset}`) refuse(`the server has "${range}"; start again`);
    discardBody(response);
    return bodyOf(new Response(null));
  }
  const answered = validatorOf(response, options);
  if (response.status === 206) {
    const range = response.headers.get("content-range") ?? "";
    const [, start, total = "*"] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
    if (Number(start) !== offset) refuse(`the server sent "${range}"`);
    assertSize(response, total === "*" ? undefined : Number(total), request, options);
    // A server does not have to repeat the validator that it has just compared.
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

/** Whether `If-Range` can carry the validator: an entity tag or a date. */
function isOfHttp(validator: string | undefined): validator is string {
  return validator !== undefined && /^"|GMT$/.test(validator);
}

/** Whether the validators differ. An entity tag and a date cannot be compared. */
function isOther(answered: string, validator: string | undefined): boolean {
  return validator?.startsWith('"') === answered.startsWith('"') && answered !== validator;
}

/** A date identifies a file only if the file is at least a minute old: servers' clocks differ slightly. */
const DATE_MARGIN_MS = 60_000;

/**
 * The server's own identifier, else what `If-Range` accepts: a strong entity tag or a strong date.
 * https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5
 */
function validatorOf({ headers }: Response, { identify }: RangeOptions): string | undefined {
  const own = identify?.(headers) ?? undefined;
  if (own !== undefined) return own;
  if (isEncoded(headers)) return undefined;
  const etag = headers.get("etag") ?? "";
  if (/^"[^"]*"$/.test(etag)) return etag;
  // A weak tag does not guarantee identical bytes.
  if (etag.startsWith("W/")) return undefined;
  const modified = headers.get("last-modified") ?? "";
  const age = Date.parse(headers.get("date") ?? "") - Date.parse(modified);
  return age >= DATE_MARGIN_MS ? modified : undefined;
}

/** A response of another length is another file, such as a proxy's login page. */
function assertSize(
  response: Response,
  length: number | undefined,
  request: HttpRequest,
  { size }: RangeOptions,
): void {
  if (length === undefined || size === undefined || length === size) return;
  discardBody(response);
  throw new IntegrityError(
    `Cannot download ${redactUrl(request.url)}: the server sends a file of ${length} bytes, but the registry states ${size}`,
  );
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
