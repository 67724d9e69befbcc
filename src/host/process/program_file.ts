import { open } from "node:fs/promises";
import { fileError } from "../files/file_error.ts";

/** ELF, Mach-O, PE, or a script with `#!`. */
export async function isProgram(path: string): Promise<boolean> {
  try {
    const file = await open(path, "r");
    try {
      const start = new Uint8Array(4096);
      const { bytesRead } = await file.read(start, 0, start.length, 0);
      return beginsAsProgram(start.subarray(0, bytesRead));
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw fileError("read", path, cause);
  }
}

const ELF = 0x7f454c46;
const MACH_O: ReadonlySet<number> = new Set([0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe]);
const FAT_MACH_O: ReadonlySet<number> = new Set([0xcafebabe, 0xcafebabf]);
/** Java class files have the magic number of fat Mach-O files, but a version of 45 or more in place of the part count. */
const MAX_FAT_PARTS = 44;

export function beginsAsProgram(start: Uint8Array): boolean {
  if (start[0] === 0x23 && start[1] === 0x21) return true; // #!
  if (start.length < 8) return false;
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const magic = view.getUint32(0);
  if (magic === ELF || MACH_O.has(magic)) return true;
  if (FAT_MACH_O.has(magic)) return view.getUint32(4) <= MAX_FAT_PARTS;
  return isPortableExecutable(view);
}

// https://learn.microsoft.com/en-us/windows/win32/debug/pe-format#ms-dos-stub-image-only
function isPortableExecutable(view: DataView): boolean {
  if (view.byteLength < 0x40 || view.getUint16(0) !== 0x4d5a) return false;
  const at = view.getUint32(0x3c, true);
  return at + 4 <= view.byteLength && view.getUint32(at) === 0x50450000;
}
