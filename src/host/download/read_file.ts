import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

const CHUNK_BYTES = 1 << 18;

/** Streams a downloaded file, from `offset` on; it is opened by the first read. */
export function streamFile(path: string, offset: number = 0): ReadableStream<Uint8Array> {
  let file: FileHandle | undefined;
  // A pipe has no positions.
  let position = offset === 0 ? null : offset;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          file ??= await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
          const chunk = new Uint8Array(CHUNK_BYTES);
          const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position);
          if (position !== null) position += bytesRead;
          if (bytesRead > 0) return controller.enqueue(chunk.subarray(0, bytesRead));
          await file.close();
          controller.close();
        } catch (error) {
          await file?.close();
          controller.error(error);
        }
      },
      cancel: () => file?.close(),
    },
    { highWaterMark: 0 },
  );
}

/** The SHA-256 of a file in lower-case hex. */
export async function hashOfFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of streamFile(path)) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  return hash.digest("hex");
}
