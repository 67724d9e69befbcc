import { constants } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { createFile } from "../files/atomic_file.ts";
import { BatchWriter } from "./batch_writer.ts";
import type { FileDigests } from "./digests.ts";

const READ_BYTES = 1 << 20;

/** Appends to a partial file and hashes every byte of it. */
export class PartWriter {
  readonly #file: FileHandle;
  readonly #digests: FileDigests;
  readonly #batches: BatchWriter;

  private constructor(file: FileHandle, digests: FileDigests, bytes: number) {
    this.#file = file;
    this.#digests = digests;
    this.#batches = new BatchWriter(file, bytes);
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
    if (!keep) await rm(path, { force: true });
    const file = keep ? await openExisting(path) : await createFile(path, 0o600);
    try {
      return new PartWriter(file, digests, keep ? await rehash(file, digests) : 0);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes taken so far, those of earlier runs included. */
  get bytes(): number {
    return this.#batches.bytes;
  }

  /**
   * Takes the next bytes.
   *
   * @param chunk not touched by the caller afterwards.
   * @returns a promise when the disk has to catch up first.
   */
  write(chunk: Uint8Array): Promise<void> | undefined {
    this.#digests.update(chunk);
    return this.#batches.write(chunk);
  }

  /** Waits until every byte taken has been handed to the system. */
  async settle(): Promise<void> {
    await this.#batches.settle();
  }

  /** Waits until every byte taken is safe on the disk. */
  async sync(): Promise<void> {
    await this.settle();
    await this.#file.sync();
  }

  /** Closes the file; what could not be written is given up. */
  async close(): Promise<void> {
    await this.#batches.abandon();
    await this.#file.close();
  }
}

function openExisting(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0));
}

async function rehash(file: FileHandle, digests: FileDigests): Promise<number> {
  const buffer = new Uint8Array(READ_BYTES);
  let position = 0;
  while (true) {
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, position);
    if (bytesRead === 0) return position;
    digests.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}
