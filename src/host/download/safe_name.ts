import { createHash } from "node:crypto";

const MAX_LENGTH = 120;
const UNSAFE = /[^A-Za-z0-9._+@-]/g;

/**
 * A name from outside as the name of a file in one directory: never a path, never hidden, never too
 * long. Names that had to change keep their end (the kind of archive) and get a hash, so that two
 * different names stay different.
 *
 * @param name any text.
 * @returns one segment of a path, at most 120 characters of plain ASCII.
 */
export function safeFileName(name: string): string {
  const plain = name.replaceAll(UNSAFE, "_").replace(/^\.+/, "_");
  if (plain === name && name !== "" && name.length <= MAX_LENGTH) return name;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, 12);
  return `${hash}-${plain.slice(-(MAX_LENGTH - hash.length - 1))}`;
}
