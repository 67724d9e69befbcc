import { formatBytes } from "../../core/bytes.ts";
import { BrokenRule } from "./entry.ts";

/** How much an archive may expand to. */
export interface ExtractLimits {
  /** Files, directories and links, including directories that are only implied. */
  maxEntries: number;
  /** Bytes of all files together. */
  maxBytes: number;
}

export const EXTRACT_LIMITS: ExtractLimits = { maxEntries: 100_000, maxBytes: 8 * 2 ** 30 };

const STREAM_OVERHEAD_BYTES = 16 * 2 ** 20;
const ENTRY_OVERHEAD_BYTES = 4096;

export class Budget {
  readonly #limits: ExtractLimits;
  #streamed = 0;
  entries = 0;
  bytes = 0;

  constructor(limits: ExtractLimits) {
    this.#limits = limits;
  }

  takeEntry(): void {
    this.entries += 1;
    if (this.entries > this.#limits.maxEntries) {
      throw new BrokenRule(`there are more than ${this.#limits.maxEntries} entries`);
    }
  }

  /** Counts decompressed bytes of a tar: headers, padding and an endless tail are limited too. */
  takeStream(bytes: number): void {
    this.#streamed += bytes;
    const overhead = STREAM_OVERHEAD_BYTES + this.entries * ENTRY_OVERHEAD_BYTES;
    if (this.#streamed > this.#limits.maxBytes + overhead) this.#tooLarge();
  }

  takeBytes(bytes: number): void {
    this.requireBytes(bytes);
    this.bytes += bytes;
  }

  /** Throws early if an entry declares too many bytes. */
  requireBytes(bytes: number): void {
    if (this.bytes + bytes > this.#limits.maxBytes) this.#tooLarge();
  }

  #tooLarge(): never {
    throw new BrokenRule(
      `it expands to more than ${formatBytes(this.#limits.maxBytes)}; raise --max-expanded-size if this release is right`,
    );
  }
}
