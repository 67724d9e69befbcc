import { crc32, deflateRawSync } from "node:zlib";

/** One entry of a zip, valid or not. */
export interface ZipSpec {
  name: string | Uint8Array;
  content?: string | Uint8Array;
  /** Unix mode with the file type; 0 for no mode. */
  mode?: number;
  /** Compressed unless `false`. */
  deflate?: boolean;
  /** Wrong values for the headers. */
  crc?: number;
  size?: number;
  flags?: number;
  method?: number;
  /** 3 is Unix, 0 is DOS. */
  madeBy?: number;
}

interface Written {
  local: Buffer;
  central: (offset: number) => Buffer;
}

function write(spec: ZipSpec): Written {
  const name = Buffer.from(spec.name);
  const content = Buffer.from(spec.content ?? "");
  const body = spec.deflate === false ? content : deflateRawSync(content);
  const common = Buffer.alloc(26);
  common.writeUInt16LE(20, 0);
  common.writeUInt16LE(spec.flags ?? (typeof spec.name === "string" ? 0x800 : 0), 2);
  common.writeUInt16LE(spec.method ?? (spec.deflate === false ? 0 : 8), 4);
  common.writeUInt16LE(0x6000, 6);
  common.writeUInt16LE(0x5b21, 8);
  common.writeUInt32LE(spec.crc ?? crc32(content), 10);
  common.writeUInt32LE(body.byteLength, 14);
  common.writeUInt32LE(spec.size ?? content.byteLength, 18);
  common.writeUInt16LE(name.byteLength, 22);
  const central = (offset: number): Buffer => {
    const head = Buffer.alloc(46);
    head.writeUInt32LE(0x02014b50, 0);
    head.writeUInt16LE(((spec.madeBy ?? 3) << 8) | 20, 4);
    common.copy(head, 6);
    head.writeUInt32LE(((spec.mode ?? 0) << 16) >>> 0, 38);
    head.writeUInt32LE(offset, 42);
    return Buffer.concat([head, name]);
  };
  return { local: Buffer.concat([Buffer.from("PK\x03\x04"), common, name, body]), central };
}

/** Writes a whole zip. */
export function zipBytes(specs: readonly ZipSpec[]): Uint8Array {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const spec of specs) {
    const { local, central } = write(spec);
    locals.push(local);
    centrals.push(central(offset));
    offset += local.byteLength;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(specs.length, 8);
  end.writeUInt16LE(specs.length, 10);
  end.writeUInt32LE(directory.byteLength, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}
