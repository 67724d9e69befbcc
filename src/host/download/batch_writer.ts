import type { FileHandle } from "node:fs/promises";

// Large enough that system calls do not count, small enough that memory stays flat.
const BATCH_BYTES = 1 << 20;
const MAX_BATCH_CHUNKS = 512;

/** An error of the disk, as opposed to one of the source of the bytes. */
export class DiskFault extends Error {
  constructor(cause: unknown) {
    super("writing failed", { cause });
  }
}

/** Writes in batches: one is on its way to the disk while the next one is collected. */
export class BatchWriter {
  readonly #file: FileHandle;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  /** The position after the last byte taken. */
  bytes: number;

  /** The caller closes the file. */
  constructor(file: FileHandle, position: number) {
    this.#file = file;
    this.bytes = position;
  }

  /**
   * The caller must not change the chunk afterwards. Await the returned promise before the next
   * call: the disk has to catch up. It rejects with a DiskFault.
   */
  write(chunk: Uint8Array): Promise<void> | undefined {
    this.#batch.push(chunk);
    this.#batchBytes += chunk.byteLength;
    this.bytes += chunk.byteLength;
    const full = this.#batchBytes >= BATCH_BYTES || this.#batch.length >= MAX_BATCH_CHUNKS;
    return full ? this.#flush() : undefined;
  }

  async #flush(): Promise<void> {
    await this.#writing;
    if (this.#batchBytes === 0) return;
    const batch = this.#batch;
    const length = this.#batchBytes;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#writing = writeAll(this.#file, batch, length, this.bytes - length);
    // The next flush awaits it; until then a failure must not count as unhandled.
    this.#writing.catch(() => {});
  }

  /** Rejects with a DiskFault. */
  async settle(): Promise<void> {
    await this.#flush();
    await this.#writing;
  }

  async abandon(): Promise<void> {
    await this.#writing.catch(() => {});
  }
}

async function writeAll(
  file: FileHandle,
  batch: Uint8Array[],
  length: number,
  position: number,
): Promise<void> {
  try {
    let { bytesWritten } = await file.writev(batch, position);
    if (bytesWritten === length) return;
    const rest = Buffer.concat(batch);
    while (bytesWritten < length) {
      const from = position + bytesWritten;
      bytesWritten += (await file.write(rest, bytesWritten, length - bytesWritten, from))
        .bytesWritten;
    }
  } catch (error) {
    throw new DiskFault(error);
  }
}
