import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { HostError } from "../../core/error.ts";
import { messageOf } from "../../core/message_of.ts";
import { writeFileAtomic } from "../../host/files/atomic_file.ts";

/** The image of a release, as its directory tells it: to hooks, and to the next dewy. */
export interface ImageRecord {
  /** The tag, as the registry spells it. */
  tag: string;
  /** The digest of its manifest. */
  digest: string;
  /** The image by digest: `ghcr.io/owner/app@sha256:…`. */
  reference: string;
  /** Its name in the engine. */
  name: string;
  /** The engine's identifier. */
  id: string;
  /** The TCP ports that it exposes. */
  exposedPorts: readonly number[];
}

const FILE = "image.json";
const schema = v.object({
  tag: v.string(),
  digest: v.string(),
  reference: v.string(),
  name: v.string(),
  id: v.string(),
  exposedPorts: v.array(v.number()),
});

/**
 * Writes the record into a release directory.
 *
 * @param directory its path.
 * @param record the image.
 * @throws HostError.
 */
export async function writeImageRecord(directory: string, record: ImageRecord): Promise<void> {
  await writeFileAtomic(join(directory, FILE), `${JSON.stringify(record, undefined, 2)}\n`);
}

/**
 * Reads the record of a release directory.
 *
 * @param directory its path.
 * @returns the image.
 * @throws HostError when there is none, or it cannot be understood.
 */
export async function readImageRecord(directory: string): Promise<ImageRecord> {
  const path = join(directory, FILE);
  try {
    return v.parse(schema, JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    const reason = messageOf(cause);
    throw new HostError(`Cannot read ${path}: ${reason}`, { cause, retryable: false });
  }
}
