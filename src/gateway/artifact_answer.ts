import { IntegrityError } from "../core/error.ts";
import type { Artifact } from "../core/types.ts";

/**
 * Responds to a GET or HEAD request like a web server with a file: conditions and ranges are honoured. The body fails if the
 * registry's bytes are fewer or more than it stated. https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
 *
 * @param open is called only if bytes are sent.
 */
export async function answerArtifact(
  request: Request,
  artifact: Artifact,
  revision: string,
  open: (options: { offset: number; signal: AbortSignal }) => Promise<ReadableStream<Uint8Array>>,
): Promise<Response> {
  const etag = `"${revision}"`;
  const headers = artifactHeaders(artifact, etag);
  if (!matches(request.headers.get("if-match"), etag, true)) {
    return new Response(null, { status: 412, headers });
  }
  const known = request.headers.get("if-none-match");
  if (known !== null && matches(known, etag, false)) {
    return new Response(null, { status: 304, headers });
  }
  const { size } = artifact;
  const part = wantedPart(request, etag, size);
  if (part === "unsatisfiable") {
    headers.set("content-range", `bytes */${size}`);
    return new Response(null, { status: 416, headers });
  }
  if (size !== undefined) setLength(headers, size, part);
  const status = part === undefined ? 200 : 206;
  if (request.method === "HEAD") return new Response(null, { status, headers });
  const body = await open({ offset: part?.start ?? 0, signal: request.signal });
  if (size === undefined) return new Response(body, { status, headers });
  const { start, end } = part ?? { start: 0, end: size - 1 };
  // Behind a range, more bytes follow as a rule; behind the whole, they mean that this is another file.
  const limited = exactly(body, end - start + 1, part === undefined);
  return new Response(limited, { status, headers });
}

function artifactHeaders(artifact: Artifact, etag: string): Headers {
  return new Headers({
    "content-type": "application/octet-stream",
    "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(artifact.name).replaceAll("'", "%27")}`,
    "cache-control": "private, no-transform",
    "x-content-type-options": "nosniff",
    etag,
    ...(artifact.size === undefined ? {} : { "accept-ranges": "bytes" }),
  });
}

function wantedPart(
  request: Request,
  etag: string,
  size: number | undefined,
): ByteRange | "unsatisfiable" | undefined {
  const condition = request.headers.get("if-range");
  if (size === undefined || (condition !== null && condition !== etag)) return undefined;
  return readRange(request.headers.get("range"), size);
}

function setLength(headers: Headers, size: number, part: ByteRange | undefined): void {
  if (part === undefined) {
    headers.set("content-length", String(size));
    return;
  }
  headers.set("content-length", String(part.end - part.start + 1));
  headers.set("content-range", `bytes ${part.start}-${part.end}/${size}`);
}

/** Whether a list of entity tags contains this one; a missing list matches. */
function matches(header: string | null, etag: string, isStrong: boolean): boolean {
  if (header === null || header.trim() === "*") return true;
  return header
    .split(",")
    .map((tag) => (isStrong ? tag.trim() : tag.trim().replace(/^W\//, "")))
    .includes(etag);
}

interface ByteRange {
  start: number;
  /** Inclusive. */
  end: number;
}

/**
 * Reads a `Range` header. Several ranges, other units and invalid values mean the whole, which is `undefined`.
 * https://www.rfc-editor.org/rfc/rfc9110#section-14.2
 */
function readRange(header: string | null, size: number): ByteRange | "unsatisfiable" | undefined {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size - 1 };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return undefined;
  if (start >= size) return "unsatisfiable";
  return { start, end: last === "" ? size - 1 : Math.min(Number(last), size - 1) };
}

/** Passes on `length` bytes, and fails if they are fewer. More are an error if `isWhole`, and are dropped otherwise. */
function exactly(
  body: ReadableStream<Uint8Array>,
  length: number,
  isWhole: boolean,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = length;
  const wrong = (what: string): IntegrityError =>
    new IntegrityError(`Cannot send the artifact: its bytes are ${what} than the ${length} listed`);
  return new ReadableStream(
    {
      async pull(controller) {
        if (left === 0 && !isWhole) {
          controller.close();
          await reader.cancel();
          return;
        }
        const { done, value } = await reader.read();
        if (done) {
          if (left > 0) throw wrong("fewer");
          controller.close();
          return;
        }
        if (value.byteLength > left && isWhole) {
          reader.cancel().catch(() => {});
          throw wrong("more");
        }
        const chunk = value.subarray(0, left);
        left -= chunk.byteLength;
        controller.enqueue(chunk);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}
