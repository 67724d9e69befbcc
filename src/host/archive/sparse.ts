import { type ArchiveEntry, BrokenRule } from "./entry.ts";

const BLOCK = 512;
const MAX_SEGMENTS = 100_000;
const ZEROS = new Uint8Array(1 << 16);

/** A stored part of a sparse file; everything between is zeros. */
interface Segment {
  offset: number;
  size: number;
}

/**
 * Restores the holes of a sparse file in a pax archive of macOS's or GNU's tar: format 1.0, and 0.1
 * with the map in the header. Returns other entries unchanged.
 * https://www.gnu.org/software/tar/manual/html_section/Sparse-Formats.html
 */
export function expandSparse(
  entry: ArchiveEntry,
  pax: Readonly<Record<string, string>> | undefined,
): ArchiveEntry {
  if (pax === undefined || !Object.keys(pax).some((key) => key.startsWith("GNU.sparse."))) {
    return entry;
  }
  const name = pax["GNU.sparse.name"] ?? entry.name;
  const size = Number(pax["GNU.sparse.realsize"] ?? pax["GNU.sparse.size"]);
  const version = `${pax["GNU.sparse.major"] ?? 0}.${pax["GNU.sparse.minor"] ?? 1}`;
  const map = pax["GNU.sparse.map"];
  const known = version === "1.0" || map !== undefined;
  if (!known || !Number.isSafeInteger(size) || size < 0) {
    throw new BrokenRule("it is a sparse file of an unknown format; pack it without --sparse", {
      cause: name,
    });
  }
  if (map !== undefined && hasMoreCommas(map, 2 * MAX_SEGMENTS - 1)) throw tooManySegments(name);
  const stored = new StoredBytes(entry);
  const content = expand(stored, size, async () =>
    map === undefined ? await readMap(stored) : toSegments(map.split(",").map(Number)),
  );
  const read = async (): Promise<Uint8Array | undefined> => {
    const { done, value } = await content.next();
    return done ? undefined : value;
  };
  return { ...entry, name, size, read };
}

async function* expand(
  stored: StoredBytes,
  size: number,
  readSegments: () => Promise<Segment[]>,
): AsyncGenerator<Uint8Array> {
  let position = 0;
  for (const segment of await readSegments()) {
    if (segment.offset < position || segment.offset + segment.size > size) throw badMap();
    yield* zeros(segment.offset - position);
    yield* stored.take(segment.size);
    position = segment.offset + segment.size;
  }
  yield* zeros(size - position);
}

function* zeros(count: number): Generator<Uint8Array> {
  for (let left = count; left > 0; left -= ZEROS.byteLength) {
    yield left < ZEROS.byteLength ? ZEROS.subarray(0, left) : ZEROS;
  }
}

/** Checked before the map is split, because it can have millions. */
function hasMoreCommas(map: string, limit: number): boolean {
  let at = -1;
  for (let count = 0; count <= limit; count += 1) {
    at = map.indexOf(",", at + 1);
    if (at < 0) return false;
  }
  return true;
}

async function readMap(stored: StoredBytes): Promise<Segment[]> {
  const count = await stored.number();
  if (count > MAX_SEGMENTS) throw tooManySegments();
  const numbers: number[] = [];
  for (let index = 0; index < count * 2; index += 1) numbers.push(await stored.number());
  await stored.skipPadding();
  return toSegments(numbers);
}

function toSegments(numbers: readonly number[]): Segment[] {
  const segments: Segment[] = [];
  for (let index = 0; index + 1 < numbers.length; index += 2) {
    const offset = numbers[index] ?? Number.NaN;
    const size = numbers[index + 1] ?? Number.NaN;
    if (!Number.isSafeInteger(offset + size) || offset < 0 || size < 0) throw badMap();
    segments.push({ offset, size });
  }
  return segments;
}

function tooManySegments(name?: string): BrokenRule {
  return new BrokenRule(
    `it is a sparse file of more than ${MAX_SEGMENTS} segments; pack it without --sparse`,
    { cause: name },
  );
}

function badMap(): BrokenRule {
  return new BrokenRule("its map of a sparse file is invalid");
}

/** Reads the body of an entry by byte and by piece. */
class StoredBytes {
  readonly #entry: ArchiveEntry;
  #chunk: Uint8Array = new Uint8Array(0);
  #consumed = 0;

  constructor(entry: ArchiveEntry) {
    this.#entry = entry;
  }

  async #next(most: number): Promise<Uint8Array> {
    while (this.#chunk.byteLength === 0) {
      const chunk = await this.#entry.read();
      if (chunk === undefined) throw badMap();
      this.#chunk = chunk;
    }
    const taken = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(taken.byteLength);
    this.#consumed += taken.byteLength;
    return taken;
  }

  /** Reads a line as a decimal number. */
  async number(): Promise<number> {
    let digits = "";
    while (digits.length < 20) {
      const [byte = 0] = await this.#next(1);
      if (byte === 0x0a) break;
      digits += String.fromCharCode(byte);
    }
    if (!/^\d{1,16}$/.test(digits)) throw badMap();
    return Number(digits);
  }

  async skipPadding(): Promise<void> {
    for await (const _ of this.take(-this.#consumed & (BLOCK - 1)));
  }

  async *take(count: number): AsyncGenerator<Uint8Array> {
    for (let left = count; left > 0; ) {
      const piece = await this.#next(left);
      left -= piece.byteLength;
      yield piece;
    }
  }
}
