import { formatBytes } from "../core/bytes.ts";
import type { Clock } from "../core/clock.ts";
import { bytesToHex, sha256 } from "../core/encoding.ts";
import { IntegrityError, VerificationError } from "../core/error.ts";
import { TimeoutError, withDeadline } from "../core/timeout.ts";
import type { Artifact, Registry } from "../core/types.ts";
import type { Subject } from "./types.ts";

export interface ReadFilesOptions {
  registry: Pick<Registry, "open">;
  clock: Clock;
  signal: AbortSignal;
}

/** The longest that one file may take. */
const READ_MS = 60_000;

/** Reads small files of one release, each at most once: every rule then sees the same bytes. */
export function readFilesOf(options: ReadFilesOptions): Subject["read"] {
  const kept = new Map<string, Promise<Uint8Array>>();
  return async (file, maxBytes) => {
    assertSmall(file, file.size ?? 0, maxBytes);
    let reading = kept.get(file.url);
    if (reading === undefined) {
      reading = readFile(file, maxBytes, options);
      kept.set(file.url, reading);
      reading.catch(() => kept.delete(file.url));
    }
    const bytes = await reading;
    assertSmall(file, bytes.byteLength, maxBytes);
    return bytes;
  };
}

async function readFile(
  file: Artifact,
  maxBytes: number,
  { registry, clock, signal }: ReadFilesOptions,
): Promise<Uint8Array> {
  try {
    return await withDeadline(clock, READ_MS, signal, async (ended) => {
      const stream = await registry.open(file, { signal: ended });
      const bytes = await readBytes(stream, file, maxBytes, ended);
      await assertIntact(file, bytes);
      return bytes;
    });
  } catch (cause) {
    if (!(cause instanceof TimeoutError)) throw cause;
    throw new VerificationError(`Cannot read "${file.name}": ${cause.message}`, { cause });
  }
}

async function readBytes(
  stream: ReadableStream<Uint8Array>,
  file: Artifact,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) return joinChunks(chunks, size);
      size += value.byteLength;
      assertSmall(file, size, maxBytes);
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel(error).catch(() => {});
    throw error;
  }
}

function joinChunks(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

function assertSmall({ name }: Artifact, size: number, maxBytes: number): void {
  if (size <= maxBytes) return;
  throw new VerificationError(
    `Cannot read "${name}": it has more than ${formatBytes(maxBytes)}, which is too much for a signature or a checksum file`,
  );
}

async function assertIntact({ name, digest }: Artifact, bytes: Uint8Array): Promise<void> {
  if (!digest?.startsWith("sha256:")) return;
  const actual = `sha256:${bytesToHex(await sha256(new Uint8Array(bytes)))}`;
  if (actual === digest) return;
  throw new IntegrityError(
    `Cannot read "${name}": it has the digest ${actual}, but the registry states ${digest}`,
  );
}
