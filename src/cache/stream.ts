import { IntegrityError, RemoteError } from "../core/error.ts";
import type { CacheBody } from "./types.ts";

/** The size of the parts of an upload. */
export const PART_BYTES = 8 * 1024 * 1024;

export async function readBounded(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
  what: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return concat(chunks, bytes);
    bytes += value.byteLength;
    chunks.push(value);
    if (bytes <= maxBytes) continue;
    reader.cancel().catch(() => {});
    throw new RemoteError(`Cannot read ${what}: it has more than ${maxBytes} bytes`, {
      retryable: false,
    });
  }
}

/**
 * Cuts a body into parts of `size` bytes; only the last one may have fewer. Rejects instead of yielding the last one if
 * the body has another length than stated, so that no store takes it for complete.
 */
export async function* partsOf(
  body: CacheBody,
  size: number,
  what: string,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = body.open(0).getReader();
  let left = body.bytes;
  let part = new Uint8Array(Math.min(size, left));
  let filled = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      for (let from = 0; from < value.byteLength; ) {
        if (filled === left) throw wrongLength(body, what);
        const chunk = value.subarray(from, from + part.length - filled);
        part.set(chunk, filled);
        filled += chunk.length;
        from += chunk.length;
        if (filled < part.length || filled === left) continue;
        left -= filled;
        yield part;
        part = new Uint8Array(Math.min(size, left));
        filled = 0;
      }
    }
    if (filled < left) throw wrongLength(body, what);
    if (left > 0) yield part;
  } finally {
    reader.cancel().catch(() => {});
  }
}

function wrongLength(body: CacheBody, what: string): IntegrityError {
  return new IntegrityError(
    `Cannot upload ${what}: it does not have ${body.bytes} bytes; start again`,
  );
}

function concat(chunks: readonly Uint8Array[], bytes: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
