/** One header of a tar, valid or not. */
export interface TarSpec {
  name: string;
  /** The type flag. Defaults to "0". */
  type?: string;
  content?: string | Uint8Array;
  link?: string;
  mode?: number;
  /** Seconds since the epoch. */
  mtime?: number;
  uid?: number;
  /** The size in the header, instead of the content's. */
  size?: number;
  /** Written as a pax header before it. */
  pax?: Readonly<Record<string, string>>;
  /** The body of the pax header, for invalid ones. */
  rawPax?: Uint8Array;
}

const encoder = new TextEncoder();

function padded(bytes: Uint8Array): Uint8Array {
  const block = new Uint8Array(Math.ceil(bytes.byteLength / 512) * 512);
  block.set(bytes);
  return block;
}

function octal(value: number, length: number): string {
  return `${value.toString(8).padStart(length - 1, "0")}\0`;
}

function header(spec: TarSpec, size: number): Uint8Array {
  const block = new Uint8Array(512);
  const put = (offset: number, text: string, length: number): void => {
    block.set(encoder.encode(text).subarray(0, length), offset);
  };
  put(0, spec.name, 100);
  put(100, octal(spec.mode ?? 0o644, 8), 8);
  put(108, octal(spec.uid ?? 0, 8), 8);
  put(116, octal(0, 8), 8);
  put(124, octal(spec.size ?? size, 12), 12);
  put(136, octal(spec.mtime ?? 1_700_000_000, 12), 12);
  put(148, "        ", 8);
  put(156, spec.type ?? "0", 1);
  put(157, spec.link ?? "", 100);
  put(257, "ustar\x0000", 8);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `, 8);
  return block;
}

function paxBody(records: Readonly<Record<string, string>>): Uint8Array {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = encoder.encode(` ${key}=${value}\n`).byteLength;
    let length = rest + 1;
    while (String(length).length + rest !== length) length += 1;
    return `${length} ${key}=${value}\n`;
  });
  return encoder.encode(lines.join(""));
}

/** Writes headers and bodies without the blocks at the end. */
export function tarBlocks(specs: readonly TarSpec[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const spec of specs) {
    const pax = spec.rawPax ?? (spec.pax === undefined ? undefined : paxBody(spec.pax));
    if (pax !== undefined) {
      parts.push(header({ name: "PaxHeader", type: "x" }, pax.byteLength), padded(pax));
    }
    const content = typeof spec.content === "string" ? encoder.encode(spec.content) : spec.content;
    parts.push(header(spec, content?.byteLength ?? 0));
    if (content !== undefined) parts.push(padded(content));
  }
  return Buffer.concat(parts);
}

/** Writes a whole tar. */
export function tarBytes(specs: readonly TarSpec[]): Uint8Array {
  return Buffer.concat([tarBlocks(specs), new Uint8Array(1024)]);
}
