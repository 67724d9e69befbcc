import type { Subject } from "../types.ts";
import type { SignedFile } from "./content.ts";

/** The checksum files of the release that list the artifact with its digest. */
export async function checksumFilesOf(
  _subject: Subject,
  _signal: AbortSignal,
): Promise<readonly SignedFile[]> {
  return [];
}
