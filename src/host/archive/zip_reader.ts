import { closeSync, createReadStream, fstatSync, openSync, readSync } from "node:fs";
import type { Readable } from "node:stream";
// @ts-types="@types/yauzl"
import { RandomAccessReader } from "yauzl";

const WINDOW_BYTES = 1 << 18;

/** One window: many small reads would otherwise each cost a trip through the thread pool. */
export class ZipReader extends RandomAccessReader {
  readonly #path: string;
  readonly #file: number;
  readonly #window: Buffer = Buffer.alloc(WINDOW_BYTES);
  #start = 0;
  #length = 0;
  readonly bytes: number;

  constructor(path: string) {
    super();
    this.#path = path;
    this.#file = openSync(path, "r");
    this.bytes = fstatSync(this.#file).size;
  }

  /** Returns at most `length` bytes, valid until the next call. `length` is at most the window. */
  view(length: number, position: number): Buffer {
    if (position < this.#start || position + length > this.#start + this.#length) {
      this.#start = position;
      this.#length = readSync(this.#file, this.#window, 0, WINDOW_BYTES, position);
    }
    const from = position - this.#start;
    return this.#window.subarray(from, Math.min(from + length, this.#length));
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    let read = 0;
    let failure: Error | null = null;
    try {
      while (read < length) {
        const piece = this.view(Math.min(length - read, WINDOW_BYTES), position + read);
        if (piece.byteLength === 0) break;
        piece.copy(buffer, offset + read);
        read += piece.byteLength;
      }
    } catch (error) {
      failure = error as Error;
    }
    // yauzl does not expect a synchronous callback.
    queueMicrotask(() => callback(failure, read));
  }

  override _readStreamForRange(start: number, end: number): Readable {
    return createReadStream(this.#path, { start, end: end - 1, highWaterMark: WINDOW_BYTES });
  }

  override close(callback: (error: Error | null) => void): void {
    closeSync(this.#file);
    queueMicrotask(() => callback(null));
  }
}
