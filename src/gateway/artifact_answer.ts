/**
 * Sends an artifact as a web server sends a file: whole, in part, only its headers, or not again.
 *
 * @module
 */
import type { Artifact, OpenOptions } from "../core/types.ts";
import { type ByteRange, readRange } from "./byte_range.ts";
import { exactly } from "./exactly.ts";

/** Streams the bytes from an offset on. */
export type OpenArtifact = (
  options: Required<Pick<OpenOptions, "offset" | "signal">>,
) => Promise<ReadableStream<Uint8Array>>;

/**
 * Answers a request for an artifact.
 *
 * @param request a GET or HEAD request.
 * @param artifact what the registry says of it; without a size there are no ranges.
 * @param revision names the bytes; becomes the entity tag.
 * @param open streams them; not called where no bytes are wanted.
 * @returns the answer; its body is read as it is sent and fails when the registry's bytes are too few or too many.
 * @throws what `open` throws.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
 */
export async function answerArtifact(
  request: Request,
  artifact: Artifact,
  revision: string,
  open: OpenArtifact,
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
  // More than was asked for is cut off only where a part was asked for; a whole that is longer is another file.
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

/** Whether a list of entity tags names ours; no list is one that does. */
function matches(header: string | null, etag: string, isStrong: boolean): boolean {
  if (header === null || header.trim() === "*") return true;
  return header
    .split(",")
    .map((tag) => (isStrong ? tag.trim() : tag.trim().replace(/^W\//, "")))
    .includes(etag);
}
