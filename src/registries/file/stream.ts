import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { AbortedError, HostError, IntegrityError } from "../../core/error.ts";
import type { OpenOptions } from "../../core/types.ts";
import { fileError } from "../../host/files/file_error.ts";
import { revisionOf } from "./source.ts";

/** Which bytes of a file to read. Its revision is what identifies them. */
export interface OpenFileOptions extends Omit<OpenOptions, "signal"> {
  signal: AbortSignal | undefined;
  /** The result of {@link revisionOf} when the file was chosen. */
  revision?: string;
}

const CHUNK_BYTES = 256 * 1024;

export async function openFile(
  path: string,
  options: OpenFileOptions,
): Promise<ReadableStream<Uint8Array>> {
  throwIfAborted(path, options.signal);
  const handle = await openRegular(path);
  try {
    const revision = await checkedRevision(handle, path, options);
    options.onValidator?.(revision);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return streamOf(handle, path, options);
}

async function openRegular(path: string): Promise<FileHandle> {
  try {
    // Opening a named pipe would otherwise wait for a writer.
    return await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (cause) {
    throw fileError("read", path, cause);
  }
}

async function checkedRevision(
  handle: FileHandle,
  path: string,
  { offset = 0, revision, validator }: OpenFileOptions,
): Promise<string> {
  const stats = await handle.stat();
  if (!stats.isFile()) {
    throw new HostError(`Cannot read "${path}": it is not a regular file`, { retryable: false });
  }
  const found = revisionOf(stats);
  if ([revision, validator].some((known) => known !== undefined && known !== found)) {
    throw new IntegrityError(`Cannot read "${path}": it was replaced meanwhile; start again`);
  }
  if (offset > stats.size) {
    throw new IntegrityError(
      `Cannot resume "${path}" at byte ${offset}: it has ${stats.size}; start again`,
    );
  }
  return found;
}

function streamOf(
  handle: FileHandle,
  path: string,
  { offset = 0, signal }: OpenFileOptions,
): ReadableStream<Uint8Array> {
  let position = offset;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          throwIfAborted(path, signal);
          const chunk = new Uint8Array(CHUNK_BYTES);
          const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, position);
          position += bytesRead;
          if (bytesRead > 0) return controller.enqueue(chunk.subarray(0, bytesRead));
          await handle.close();
          controller.close();
        } catch (cause) {
          await handle.close();
          controller.error(cause instanceof AbortedError ? cause : fileError("read", path, cause));
        }
      },
      cancel: () => handle.close(),
    },
    { highWaterMark: 0 },
  );
}

function throwIfAborted(path: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new AbortedError(`Stopped while reading "${path}"`, { cause: signal.reason });
  }
}
