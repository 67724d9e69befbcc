import { formatBytes } from "../../core/bytes.ts";
import { BrokenRule } from "./entry.ts";

const BLOCK = 512;
/** Headers about the next entry (or all entries), which are kept in memory as a whole. */
const METADATA = new Set(["x", "g", "L", "K"]);
const MAX_METADATA_BYTES = 8 << 20;
const MAX_PAX_RECORDS = 10_000;
const MAX_LENGTH_DIGITS = 8;
const KNOWN_TYPES = new Set(["\0", "0", "1", "2", "3", "4", "5", "6", "7", "x", "g", "L", "K"]);
const WITH_BODY = new Set(["\0", "0", "7", "L", "K", "x", "g"]);
const SPECIAL: Readonly<Record<string, string>> = {
  S: "a sparse file in GNU tar's old form; pack it without --sparse",
  M: "the rest of a multi-volume archive; pack it in one volume",
  D: "GNU tar's list of a directory; pack it without --incremental",
  V: "a volume label; pack it without --label",
};

/**
 * Checks the headers of a tar while it streams by. modern-tar treats every unknown type as a plain
 * file, which would silently extract sparse files and the like with wrong content.
 * https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06
 */
export class TarHeaderGuard {
  readonly #block = new Uint8Array(BLOCK);
  #filled = 0;
  #toSkip = 0;
  #pax: { bytes: Uint8Array; filled: number } | undefined;
  #paxSize: number | undefined;
  #ended = false;

  scan(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.byteLength && !this.#ended) {
      if (this.#pax !== undefined) at += this.#collectPax(chunk.subarray(at));
      else if (this.#toSkip > 0) at += this.#skip(chunk.byteLength - at);
      else at += this.#collectHeader(chunk.subarray(at));
    }
  }

  #skip(available: number): number {
    const skipped = Math.min(this.#toSkip, available);
    this.#toSkip -= skipped;
    return skipped;
  }

  #collectHeader(rest: Uint8Array): number {
    const taken = Math.min(BLOCK - this.#filled, rest.byteLength);
    this.#block.set(rest.subarray(0, taken), this.#filled);
    this.#filled += taken;
    if (this.#filled === BLOCK) {
      this.#filled = 0;
      this.#header();
    }
    return taken;
  }

  #header(): void {
    // The end of the archive; the decoder checks the rest.
    if (this.#block[0] === 0 && this.#block.every((byte) => byte === 0)) {
      this.#ended = true;
      return;
    }
    const type = String.fromCharCode(this.#block[156] ?? 0);
    if (!KNOWN_TYPES.has(type)) {
      if (!this.#isHeader()) {
        // Not a tar, or a damaged one: the decoder has the better message.
        this.#ended = true;
        return;
      }
      const what = SPECIAL[type] ?? `an entry of the unknown type ${JSON.stringify(type)}`;
      throw new BrokenRule(`it is ${what}`, { cause: this.#name() });
    }
    const size = WITH_BODY.has(type) ? (this.#sizeOf(type) ?? 0) : 0;
    this.#paxSize = undefined;
    this.#toSkip = Math.ceil(size / BLOCK) * BLOCK;
    if (METADATA.has(type) && size > MAX_METADATA_BYTES) {
      throw new BrokenRule(
        `a header has more than the ${formatBytes(MAX_METADATA_BYTES)} of metadata that dewy reads`,
      );
    }
    if (type !== "x") return;
    if (size > 0) this.#pax = { bytes: new Uint8Array(size), filled: 0 };
  }

  #isHeader(): boolean {
    const sum = this.#block.reduce(
      (total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte),
      0,
    );
    return sum === this.#numberAt(148, 8);
  }

  #sizeOf(type: string): number | undefined {
    const isFile = type === "0" || type === "\0" || type === "7";
    return isFile && this.#paxSize !== undefined ? this.#paxSize : this.#numberAt(124, 12);
  }

  #name(): string {
    const end = this.#block.indexOf(0);
    return new TextDecoder().decode(this.#block.subarray(0, end < 0 ? 100 : Math.min(end, 100)));
  }

  #numberAt(offset: number, length: number): number {
    const field = this.#block.subarray(offset, offset + length);
    // GNU: with the top bit set, the rest is one big-endian number.
    if (((field[0] ?? 0) & 0x80) !== 0) {
      let value = (field[0] ?? 0) & 0x7f;
      for (const byte of field.subarray(1)) value = value * 256 + byte;
      return value;
    }
    const octal = /[0-7]+/.exec(String.fromCharCode(...field));
    return octal === null ? 0 : Number.parseInt(octal[0], 8);
  }

  #collectPax(rest: Uint8Array): number {
    const pax = this.#pax;
    if (pax === undefined) return 0;
    const taken = Math.min(pax.bytes.byteLength - pax.filled, rest.byteLength);
    pax.bytes.set(rest.subarray(0, taken), pax.filled);
    pax.filled += taken;
    this.#toSkip -= taken;
    if (pax.filled === pax.bytes.byteLength) {
      requireFewRecords(pax.bytes);
      const size = /(?:^|\n)\d+ size=(\d+)\n/.exec(new TextDecoder().decode(pax.bytes))?.[1];
      this.#paxSize = size === undefined ? undefined : Number(size);
      this.#pax = undefined;
    }
    return taken;
  }
}

/** https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_03 */
function requireFewRecords(pax: Uint8Array): void {
  let at = 0;
  for (let count = 0; at < pax.byteLength; count += 1) {
    if (count === MAX_PAX_RECORDS) {
      throw new BrokenRule(`its extended header has more than ${MAX_PAX_RECORDS} records`);
    }
    const digits = String.fromCharCode(...pax.subarray(at, at + MAX_LENGTH_DIGITS));
    const length = Number.parseInt(digits, 10);
    if (!(length > 0)) return; // The decoder stops here too.
    at += length;
  }
}
