import type { GcsClient } from "../client/gcs.ts";
import type { GcsObject } from "../client/gcs_schema.ts";
import { formatGsArtifactUrl } from "../core/artifact_url.ts";
import { isAuditName } from "../core/audit.ts";
import type { ListedTag, ReleaseFiles, ReleaseSource } from "../core/resolve.ts";
import type { Artifact } from "../core/types.ts";
import type { GsLocator } from "./gs_locator.ts";

/** How a bucket is listed. */
export interface GsSourceOptions {
  /** Names a page has at most; the server's own limit, 1,000, unless told. */
  maxResults?: number;
}

/**
 * Reads `<prefix><tag>/<artifact>` as releases: one listing for the tags, one for the files of a tag; 1,000 entries a
 * request. An artifact may lie in directories of its own, which are then part of its name.
 *
 * @param client the bucket.
 * @param locator the prefix in it.
 * @param options how it is listed.
 * @returns the source.
 */
export function gsSource(
  client: GcsClient,
  locator: GsLocator,
  options: GsSourceOptions = {},
): ReleaseSource {
  return {
    tags: (signal) => listTags(client, locator.prefix, options, signal),
    release: (tag, signal) => listRelease(client, locator, tag, options, signal),
  };
}

async function* listTags(
  client: GcsClient,
  prefix: string,
  options: GsSourceOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedTag> {
  for await (const page of client.list({ ...options, prefix, directories: true, signal })) {
    for (const directory of page.prefixes) {
      const tag = directory.slice(prefix.length, -1);
      if (tag !== "") yield { tag };
    }
  }
}

async function listRelease(
  client: GcsClient,
  locator: GsLocator,
  tag: string,
  options: GsSourceOptions,
  signal: AbortSignal | undefined,
): Promise<ReleaseFiles | undefined> {
  const directory = `${locator.prefix}${tag}/`;
  const objects: GcsObject[] = [];
  for await (const page of client.list({ ...options, prefix: directory, signal })) {
    for (const object of page.objects) if (isOfRelease(object, directory)) objects.push(object);
  }
  // Records of deploys outlive the release that they are about.
  if (objects.length === 0) return undefined;
  return {
    id: directory,
    createdAt: newest(objects),
    // Consoles make empty objects that stand for directories.
    files: objects
      .filter((object) => !object.name.endsWith("/"))
      .map((object) => toArtifact(locator.bucket, directory, object)),
  };
}

/**
 * Tells what belongs to a release from dewy's own records about it.
 *
 * @param object an object below the directory.
 * @param directory the version directory.
 * @returns whether somebody published it.
 */
export function isOfRelease(object: GcsObject, directory: string): boolean {
  return !isAuditName(object.name.slice(directory.length));
}

/** A release is published when its last file has arrived. */
function newest(objects: readonly GcsObject[]): Date {
  return new Date(objects.reduce((last, { createdAt }) => Math.max(last, createdAt.getTime()), 0));
}

function toArtifact(bucket: string, directory: string, object: GcsObject): Artifact {
  const { name, size, generation, digest } = object;
  return {
    name: name.slice(directory.length),
    url: formatGsArtifactUrl({ bucket, object: name }),
    size,
    revision: generation,
    ...(digest === undefined ? {} : { digest }),
  };
}
