import { IntegrityError } from "../core/error.ts";
import { redactUrl } from "../core/url.ts";
import type { HttpClient, HttpRequest } from "./http.ts";

/**
 * Downloads something from a byte on. A server that knows no ranges sends all of it, and what is already
 * there is skipped. See https://www.rfc-editor.org/rfc/rfc9110#section-14.
 *
 * @param http the client.
 * @param request what to get; a `Range` header is added.
 * @param offset the first byte wanted, from 0.
 * @returns the bytes from there on; empty when the offset is the very end.
 * @throws IntegrityError when another part comes than was asked for, or the end lies before the offset; else as
 * {@link HttpClient.send}.
 */
export async function openRange(
  http: HttpClient,
  request: HttpRequest,
  offset: number,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const headers: Record<string, string> = { "accept-encoding": "identity", ...request.headers };
  if (offset === 0) return bodyOf(await http.send({ ...request, headers }));
  const response = await http.send({
    ...request,
    headers: { ...headers, range: `bytes=${offset}-` },
    accept: [...(request.accept ?? []), 416],
  });
  if (response.status === 206) {
    const range = response.headers.get("content-range") ?? "";
    const [, start] = /^bytes (\d+)-\d+\//.exec(range) ?? [];
    if (Number(start) === offset) return bodyOf(response);
    hangUp(response);
    throw new IntegrityError(
      `Cannot resume ${redactUrl(request.url)} at byte ${offset}: the server sent "${range}"`,
    );
  }
  if (response.status === 416) {
    hangUp(response);
    const range = response.headers.get("content-range") ?? "";
    if (range === `bytes */${offset}`) return bodyOf(new Response(null));
    throw new IntegrityError(
      `Cannot resume ${redactUrl(request.url)} at byte ${offset}: the server has "${range}"; start again`,
    );
  }
  return bodyOf(response).pipeThrough(skipBytes(offset, request.url));
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
