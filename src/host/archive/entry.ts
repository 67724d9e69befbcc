/** The message names the rule only; the extractor adds the archive and the entry. */
export class BrokenRule extends Error {}

export interface ArchiveEntry {
  /** Untrusted. */
  name: string;
  /** Anything else is refused: a device, a fifo or a socket. */
  type: "file" | "directory" | "symlink" | "hardlink" | (string & {});
  /** Untrusted. */
  link: string;
  /** Permission bits; `undefined` if the archive has none. */
  mode: number | undefined;
  mtime: Date | undefined;
  /** As declared. */
  size: number;
  /** Returns the next piece of the body; `undefined` at its end. */
  read(): Promise<Uint8Array | undefined>;
}

/** Calls back with each piece of the body, and awaits the promise that it returns. */
export async function readBody(
  entry: ArchiveEntry,
  take: (piece: Uint8Array) => Promise<void> | undefined,
): Promise<void> {
  for (;;) {
    const piece = await entry.read();
    if (piece === undefined) return;
    const behind = take(piece);
    if (behind !== undefined) await behind;
  }
}

const MAX_SEGMENT_BYTES = 255;
const MAX_PATH_BYTES = 4095;

/**
 * Splits an entry's name into the segments of a path below the target: absolute names are placed
 * below it, `a/../b` is `b`. No segments mean the target itself. Throws a BrokenRule for a name
 * that leaves the target.
 */
export function entryPath(name: string): string[] {
  if (name.includes("\0")) throw new BrokenRule("its name has a NUL character");
  if (name.includes("\uFFFD")) throw new BrokenRule("its name is not UTF-8");
  if (Buffer.byteLength(name) > MAX_PATH_BYTES) throw new BrokenRule("its name is too long");
  const segments: string[] = [];
  for (const segment of name.split("/")) {
    if (segment === "" || segment === ".") continue;
    if (segment !== "..") {
      if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) {
        throw new BrokenRule("a part of its name is too long");
      }
      segments.push(segment);
    } else if (segments.pop() === undefined) {
      throw new BrokenRule("path traversal: its name leaves the directory");
    }
  }
  return segments;
}
