import { type FileHandle, open } from "node:fs/promises";
import type { FileDigests } from "./digests.ts";

// Large enough that system calls do not count, small enough that memory stays flat.
const BATCH_BYTES = 1 << 20;
const MAX_BATCH_CHUNKS = 512;

/** An error of the disk, told apart from one of the network that feeds it. */
export class DiskFault extends Error {
  /** @param cause what the file system threw. */
  constructor(cause: unknown) {
    super("writing failed", { cause });
  }
}

/**
 * Appends to the partial file: hashes what it is given and writes it in batches, one batch on its way to
 * the disk while the next one is collected.
 */
export class PartWriter {
  readonly #file: FileHandle;
  readonly #digests: FileDigests;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  /** Bytes taken so far, those of earlier runs included. */
  bytes: number;

  private constructor(file: FileHandle, digests: FileDigests, bytes: number) {
    this.#file = file;
    this.#digests = digests;
    this.bytes = bytes;
  }

  /**
   * Opens the partial file.
   *
   * @param path its path.
   * @param digests fed with every byte, those already in the file included.
   * @param keep whether to go on after what is there, or to start from nothing.
   * @returns the writer.
   */
  static async open(path: string, digests: FileDigests, keep: boolean): Promise<PartWriter> {
    const file = await open(path, keep ? "r+" : "w+", 0o600);
    try {
      return new PartWriter(file, digests, keep ? await rehash(file, digests) : 0);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * Takes the next bytes.
   *
   * @param chunk not touched by the caller afterwards.
   * @returns a promise when the disk has to catch up first.
   */
  write(chunk: Uint8Array): Promise<void> | undefined {
    this.#digests.update(chunk);
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
    // It is awaited by the next flush; until then a failure must not count as unhandled.
    this.#writing.catch(() => {});
  }

  /** Waits until every byte taken has been handed to the system. */
  async settle(): Promise<void> {
    await this.#flush();
    await this.#writing;
  }

  /** Waits until every byte taken is safe on the disk. */
  async sync(): Promise<void> {
    await this.settle();
    await this.#file.sync();
  }

  /** Closes the file; what could not be written is given up. */
  async close(): Promise<void> {
    await this.#writing.catch(() => {});
    await this.#file.close();
  }
}

async function rehash(file: FileHandle, digests: FileDigests): Promise<number> {
  const buffer = new Uint8Array(BATCH_BYTES);
  let position = 0;
  while (true) {
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, position);
    if (bytesRead === 0) return position;
    digests.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
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
      bytesWritten += (
        await file.write(rest, bytesWritten, length - bytesWritten, position + bytesWritten)
      ).bytesWritten;
    }
  } catch (error) {
    throw new DiskFault(error);
  }
}
