import { IntegrityError, NotFoundError } from "../core/error.ts";
import type { CacheBody, CacheEntry } from "./types.ts";

/** The size of the parts of an upload. */
export const PART_BYTES = 8 * 1024 * 1024;

/** The object in the response of a store, with its age by the clock of the store. */
export async function entryOf(
  { body, headers }: Response,
  version: string,
  limit: { maxBytes: number; what: string },
): Promise<CacheEntry> {
  const [now, modified] = ["date", "last-modified"].map((name) =>
    Date.parse(headers.get(name) ?? ""),
  );
  const ageMs = Math.max(0, (now ?? Number.NaN) - (modified ?? Number.NaN));
  return {
    body: await readBounded(body ?? new Blob().stream(), limit),
    version,
    ageMs: Number.isNaN(ageMs) ? undefined : ageMs,
  };
}

/** A missing bucket looks like a missing object here. Its first write reports it. */
export async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

export async function readBounded(
  stream: ReadableStream<Uint8Array>,
  { maxBytes, what }: { maxBytes: number; what: string },
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      throw new IntegrityError(`Cannot read ${what}: it has more than ${maxBytes} bytes`, {
        retryable: false,
      });
    }
    chunks.push(new Uint8Array(chunk));
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
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
  const wrongLength = () =>
    new IntegrityError(`Cannot upload ${what}: it does not have ${body.bytes} bytes; start again`);
  let left = body.bytes;
  let part = new Uint8Array(Math.min(size, left));
  let filled = 0;
  for await (const value of body.open(0)) {
    for (let from = 0; from < value.byteLength; ) {
      if (filled === left) throw wrongLength();
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
  if (filled < left) throw wrongLength();
  if (left > 0) yield part;
}
