import { NotFoundError } from "../../core/error.ts";
import type { Artifact } from "../../core/types.ts";
import type { Bytes, Subject } from "../types.ts";
import { INDEX_NAME, MAX_INDEX_BYTES } from "./format.ts";

export interface FoundIndex {
  bytes: Bytes;
  /** The release, whose files are those beside the index. */
  subject: Subject;
}

/** The registries whose releases are directories, so that a file can be beside them. */
const HAS_DIRECTORIES = /^(?:file|s3|gs):/;
const SIGNATURES = [".minisig", ".sig", ".asc", ".sigstore.json", ".sigstore", ".bundle"];

/** The index of the release, or the one beside the releases. */
export async function findIndex(
  subject: Subject,
  signal: AbortSignal,
): Promise<FoundIndex | undefined> {
  const own = subject.files.find(({ name }) => name === INDEX_NAME);
  if (own !== undefined) return { bytes: await read(own, subject), subject };
  const at = (name: string): Artifact | undefined => besideReleases(subject, name);
  const file = at(INDEX_NAME);
  const bytes = file && (await readIfPresent(file, subject, signal));
  if (file === undefined || bytes === undefined) return undefined;
  const files = [file];
  for (const suffix of SIGNATURES) {
    const signature = at(INDEX_NAME + suffix);
    if (signature === undefined) continue;
    const isThere = (await readIfPresent(signature, subject, signal)) !== undefined;
    if (isThere) files.push(signature);
  }
  return { bytes, subject: { ...subject, files } };
}

/** `s3://region/bucket/prefix/v1.2.0/app.tar.gz` is beside `s3://region/bucket/prefix/dewy-index.json`. */
function besideReleases({ name, files }: Subject, other: string): Artifact | undefined {
  const { url = "" } = files.find((file) => file.name === name) ?? {};
  const [, directory, query = ""] = /^([^?]*\/)[^/?]+\/[^/?]+(\?.*)?$/.exec(url) ?? [];
  if (directory === undefined || !HAS_DIRECTORIES.test(url)) return undefined;
  return { name: other, url: `${directory}${other}${query}` };
}

async function readIfPresent(
  file: Artifact,
  subject: Subject,
  signal: AbortSignal,
): Promise<Bytes | undefined> {
  try {
    return await read(file, subject);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

async function read(file: Artifact, subject: Subject): Promise<Bytes> {
  return new Uint8Array(await subject.read(file, MAX_INDEX_BYTES));
}
