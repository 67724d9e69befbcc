import { chmod, constants, copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ArchiveError } from "../../core/error.ts";
import { diskError } from "../download/disk_space.ts";
import { BrokenRule } from "./broken_rule.ts";
import { entryPath } from "./entry_path.ts";

/** A single file that is a release by itself. */
export interface PlaceRequest {
  /** Its path; it stays there. */
  file: string;
  /** The artifact's name, which becomes its name in the release. */
  name: string;
  /** Where it goes; made when it is not there. */
  directory: string;
  /** Its permission bits. */
  mode: number;
}

/**
 * Copies a file that is no archive, such as a bare executable, into a release.
 *
 * @param request which file, where to and its mode.
 * @returns the new path.
 * @throws ArchiveError when the name is no name of a file, HostError when the disk refuses.
 */
export async function placeFile(request: PlaceRequest): Promise<string> {
  const { file, directory, mode } = request;
  const path = join(directory, plainName(request.name));
  try {
    await mkdir(directory, { recursive: true });
    await copyFile(file, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await chmod(path, mode);
    return path;
  } catch (error) {
    throw await diskError(error, `place ${JSON.stringify(request.name)}`, directory);
  }
}

function plainName(name: string): string {
  try {
    const segments = entryPath(name);
    // Object stores have names with slashes; a bare executable is called by the last part.
    const last = segments.at(-1);
    if (last !== undefined) return last;
  } catch (error) {
    if (!(error instanceof BrokenRule)) throw error;
    throw new ArchiveError(`Cannot place ${JSON.stringify(name)}: ${error.message}`);
  }
  throw new ArchiveError(`Cannot place ${JSON.stringify(name)}: it is no name of a file`);
}
