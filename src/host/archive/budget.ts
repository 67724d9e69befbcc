import { formatBytes } from "../../core/digest.ts";
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

/** What an archive has used of its limits. */
export class Budget {
  readonly #limits: ExtractLimits;
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
    if (this.bytes + bytes > this.#limits.maxBytes) {
      throw new BrokenRule(`it expands to more than ${formatBytes(this.#limits.maxBytes)}`);
    }
  }
}
