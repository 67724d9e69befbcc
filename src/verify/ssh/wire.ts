import { concat } from "../bytes.ts";
import { EvidenceError } from "../signed_file.ts";
import type { Bytes } from "../types.ts";

/** Reads the fields of SSH's encoding: https://www.rfc-editor.org/rfc/rfc4251#section-5. Throws an EvidenceError. */
export class WireReader {
  readonly #bytes: Bytes;
  #at = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  bytes(length: number): Bytes {
    const end = this.#at + length;
    if (end > this.#bytes.byteLength) throw malformed();
    const part = this.#bytes.slice(this.#at, end);
    this.#at = end;
    return part;
  }

  uint32(): number {
    return new DataView(this.bytes(4).buffer).getUint32(0);
  }

  string(): Bytes {
    return this.bytes(this.uint32());
  }

  /** Names are printable ASCII. */
  text(): string {
    const bytes = this.string();
    if (bytes.some((byte) => byte < 0x20 || byte > 0x7e)) throw malformed();
    return new TextDecoder().decode(bytes);
  }

  /** A positive integer in its shortest form, without a zero for the sign. */
  integer(): Bytes {
    const bytes = this.string();
    const [first = 0, second = 0] = bytes;
    if (first >= 0x80 || (first === 0 && second < 0x80)) throw malformed();
    return first === 0 ? bytes.slice(1) : bytes;
  }

  end(): void {
    if (this.#at !== this.#bytes.byteLength) throw malformed();
  }
}

export const malformed = (cause?: unknown): EvidenceError =>
  new EvidenceError("it is malformed", { cause });

export const utf8 = (text: string): Bytes => new TextEncoder().encode(text);

/** A string of SSH's encoding. */
export function wireString(bytes: Bytes): Bytes {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.byteLength);
  return concat(length, bytes);
}
