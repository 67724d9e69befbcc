import type { Candidate } from "../deploy/deployer.ts";
import type { Downloaded } from "../host/download/download.ts";
import { streamFile } from "../host/download/read_file.ts";
import { type ReadFilesOptions, readFilesOf } from "../verify/read_files.ts";
import type { Subject } from "../verify/types.ts";

/** A downloaded artifact, with the files that its release has beside it. */
export function releaseSubject(
  { release: { tag }, artifact: { name }, files = [], listing }: Candidate,
  { path, sha256, bytes: size }: Downloaded,
  source: ReadFilesOptions,
): Subject {
  const open = () => streamFile(path);
  return { tag, name, sha256, size, open, files, listing, read: readFilesOf(source) };
}
