import { BrokenRule } from "./broken_rule.ts";

const MAX_SEGMENT_BYTES = 255;
const MAX_PATH_BYTES = 4095;

/**
 * Reads the name of an entry as a path below the target: absolute names are placed below it, `a/../b` is
 * `b`, and what would leave it is refused.
 *
 * @param name as the archive spells it.
 * @returns the segments; none for the target itself.
 * @throws BrokenRule when the name leaves the target or is no name.
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
