/**
 * The layout `<prefix><tag>/<artifact>`, read as releases; common to the stores of objects.
 *
 * @module
 */

import { IntegrityError } from "../core/error.ts";
import type { Artifact } from "../core/types.ts";
import { redactUrl } from "../core/url.ts";
import type { ListedTag, ReleaseFiles, ReleaseSource } from "../resolve/resolve.ts";
import { isAuditName } from "./audit.ts";

/** An object of a store. */
export interface StoredObject {
  /** Its whole name, prefix included. */
  name: string;
  /** When its bytes were stored. */
  storedAt: Date;
  /** What it is as an artifact, but for the name. */
  artifact: Omit<Artifact, "name">;
}

/** A page of a listing. */
export interface ObjectPage {
  /** What is below directories of their own, where those are not looked into; they end in `/`. */
  directories: readonly string[];
  /** Objects. */
  objects: readonly StoredObject[];
}

/** A bucket that can be listed. */
export interface ObjectStore {
  /** What comes before the tags: empty, or ends in `/`. */
  prefix: string;
  /** Lists what is directly below the prefix. */
  listTags(signal: AbortSignal | undefined): AsyncIterable<Pick<ObjectPage, "directories">>;
  /** Lists the files of a version directory. */
  listFiles(directory: string, signal: AbortSignal | undefined): AsyncIterable<ObjectPage>;
}

/**
 * Reads `<prefix><tag>/<artifact>` as releases: one listing for the tags, one for the files of a tag.
 */
export function objectSource(store: ObjectStore): ReleaseSource {
  return {
    tags: (signal) => listTags(store, signal),
    release: (tag, signal) => readRelease(store, tag, signal),
  };
}

async function* listTags(
  store: ObjectStore,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedTag> {
  for await (const page of store.listTags(signal)) {
    for (const directory of page.directories) {
      const tag = directory.slice(store.prefix.length, -1);
      if (tag !== "") yield { tag };
    }
  }
}

async function readRelease(
  store: ObjectStore,
  tag: string,
  signal: AbortSignal | undefined,
): Promise<ReleaseFiles | undefined> {
  const directory = `${store.prefix}${tag}/`;
  const files: Artifact[] = [];
  let newest = Number.NEGATIVE_INFINITY;
  let hasDirectories = false;
  for await (const page of store.listFiles(directory, signal)) {
    hasDirectories ||= page.directories.length > 0;
    for (const { name, storedAt, artifact } of publishedIn(page, directory)) {
      newest = Math.max(newest, storedAt.getTime());
      // Consoles make empty objects that stand for directories.
      if (!name.endsWith("/")) files.push({ name: name.slice(directory.length), ...artifact });
    }
  }
  const isDated = Number.isFinite(newest);
  if (!isDated && !hasDirectories) return undefined;
  // A release is published when its last file has arrived.
  return { id: directory, ...(isDated ? { createdAt: new Date(newest) } : {}), files };
}

/** Records of deploys outlive the release that they are about. */
function publishedIn(page: ObjectPage, directory: string): StoredObject[] {
  return page.objects.filter(({ name }) => !isAuditName(name.slice(directory.length)));
}

/** Says whether a release is there. */
export async function holdsRelease(
  store: ObjectStore,
  tag: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const directory = `${store.prefix}${tag}/`;
  for await (const page of store.listFiles(directory, signal)) {
    if (page.directories.length > 0 || publishedIn(page, directory).length > 0) return true;
  }
  return false;
}

/** Compares an offset with the size that an artifact has. */
export function isComplete(artifact: Artifact, offset: number): boolean {
  if (artifact.size === undefined || offset < artifact.size) return false;
  if (offset === artifact.size) return offset > 0;
  throw new IntegrityError(
    `Cannot resume "${redactUrl(artifact.url)}" at byte ${offset}: it has ${artifact.size}; start again`,
  );
}
