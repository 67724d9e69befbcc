import { createTarDecoder, type ParsedTarEntry } from "modern-tar";
import type { Budget } from "./budget.ts";
import type { ArchiveEntry } from "./entry.ts";
import { expandSparse } from "./sparse.ts";
import { TarHeaderGuard } from "./tar_header_guard.ts";

/** Reads the entries of a tar one at a time. Asking for the next one skips the rest of a body. */
export async function* tarEntries(
  source: AsyncIterable<Uint8Array>,
  budget: Pick<Budget, "takeStream">,
): AsyncGenerator<ArchiveEntry> {
  const { readable, writable } = createTarDecoder({ strict: true });
  const feeding = feed(source, writable, budget);
  // Its failure also reaches the reader; until it is awaited it must not count as unhandled.
  feeding.catch(() => {});
  const reader = readable.getReader();
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) break;
      const { entry, skip } = toEntry(value);
      yield entry;
      await skip();
    }
    await feeding;
  } finally {
    await reader.cancel(new Error("no longer read")).catch(() => {});
    await feeding.catch(() => {});
  }
}

async function feed(
  source: AsyncIterable<Uint8Array>,
  writable: WritableStream<Uint8Array>,
  budget: Pick<Budget, "takeStream">,
): Promise<void> {
  const writer = writable.getWriter();
  writer.closed.catch(() => {});
  const guard = new TarHeaderGuard();
  try {
    for await (const chunk of source) {
      budget.takeStream(chunk.byteLength);
      guard.scan(chunk);
      await writer.write(chunk);
    }
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
}

function toEntry({ header, body }: ParsedTarEntry): {
  entry: ArchiveEntry;
  skip: () => Promise<void>;
} {
  const reader = body.getReader();
  let left = header.size;
  const read = async (): Promise<Uint8Array | undefined> => {
    if (left === 0) return undefined;
    const { done, value } = await reader.read();
    left = done ? 0 : left - value.byteLength;
    return value;
  };
  const type = header.type ?? "file";
  const entry: ArchiveEntry = {
    name: header.name,
    type: type === "link" ? "hardlink" : type,
    link: header.linkname ?? "",
    mode: header.mode,
    mtime: usableTime(header.mtime),
    size: header.size,
    read,
  };
  const skip = async (): Promise<void> => {
    if (left > 0) await reader.cancel();
  };
  return { entry: expandSparse(entry, header.pax), skip };
}

function usableTime(time: Date | undefined): Date | undefined {
  return time === undefined || Number.isNaN(time.getTime()) ? undefined : time;
}
