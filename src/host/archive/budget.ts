import { formatBytes } from "../../core/bytes.ts";
import { BrokenRule } from "./broken_rule.ts";

/** How much an archive may expand to. */
export interface ExtractLimits {
  /** Files, directories and links, the ones that are only implied included. */
  maxEntries: number;
  /** Bytes of all files together. */
  maxBytes: number;
}

/** Limits that no sane release reaches and every disk survives. */
export const EXTRACT_LIMITS: ExtractLimits = { maxEntries: 100_000, maxBytes: 8 * 2 ** 30 };

const STREAM_OVERHEAD_BYTES = 16 * 2 ** 20;
const ENTRY_OVERHEAD_BYTES = 4096;

/** What an archive has used of its limits. */
export class Budget {
  readonly #limits: ExtractLimits;
  #streamed = 0;
  /** Entries so far. */
  entries = 0;
  /** Bytes of files so far. */
  bytes = 0;

  /** @param limits the limits. */
  constructor(limits: ExtractLimits) {
    this.#limits = limits;
  }

  /**
   * Counts one more entry.
   *
   * @throws BrokenRule when it is one too many.
   */
  takeEntry(): void {
    this.entries += 1;
    if (this.entries > this.#limits.maxEntries) {
      throw new BrokenRule(`there are more than ${this.#limits.maxEntries} entries`);
    }
  }

  /**
   * Counts the bytes of a tar as it comes out of the decompressor: what is not content (headers, padding, an
   * endless tail) must not go on for ever either.
   *
   * @param bytes how many more.
   * @throws BrokenRule when there is far more than the content can need.
   */
  takeStream(bytes: number): void {
    this.#streamed += bytes;
    const overhead = STREAM_OVERHEAD_BYTES + this.entries * ENTRY_OVERHEAD_BYTES;
    if (this.#streamed > this.#limits.maxBytes + overhead) this.#tooLarge();
  }

  /**
   * Counts bytes before they are written.
   *
   * @param bytes how many.
   * @throws BrokenRule when they are too many.
   */
  takeBytes(bytes: number): void {
    this.requireBytes(bytes);
    this.bytes += bytes;
  }

  /**
   * Looks ahead: whether that many bytes could still come.
   *
   * @param bytes how many an entry declares.
   * @throws BrokenRule when they would be too many.
   */
  requireBytes(bytes: number): void {
    if (this.bytes + bytes > this.#limits.maxBytes) this.#tooLarge();
  }

  #tooLarge(): never {
    throw new BrokenRule(
      `it expands to more than ${formatBytes(this.#limits.maxBytes)}; raise --max-expanded-size if this release is right`,
    );
  }
}
