import type { S3Client } from "../client/s3.ts";
import type { S3Object } from "../client/s3_xml.ts";
import { formatS3ArtifactUrl } from "../core/artifact_url.ts";
import { isAuditName } from "../core/audit.ts";
import type { ListedTag, ReleaseFiles, ReleaseSource } from "../core/resolve.ts";
import type { Artifact } from "../core/types.ts";
import type { S3Locator } from "./s3_locator.ts";

/** How a bucket is listed. */
export interface S3SourceOptions {
  /** Keys a page has at most; the server's own limit, 1,000, unless told. */
  maxKeys?: number;
}

/**
 * Reads `<prefix><tag>/<artifact>` as releases: one listing for the tags, one for the files of a tag; 1,000 entries a
 * request.
 *
 * @param client the bucket.
 * @param locator the prefix in it.
 * @param options how it is listed.
 * @returns the source.
 */
export function s3Source(
  client: S3Client,
  locator: S3Locator,
  options: S3SourceOptions = {},
): ReleaseSource {
  return {
    tags: (signal) => listTags(client, locator.prefix, options, signal),
    release: (tag, signal) => listRelease(client, locator, tag, options, signal),
  };
}

async function* listTags(
  client: S3Client,
  prefix: string,
  options: S3SourceOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedTag> {
  for await (const page of client.list({ ...options, prefix, signal })) {
    for (const directory of page.prefixes) {
      const tag = directory.slice(prefix.length, -1);
      if (tag !== "") yield { tag };
    }
  }
}

async function listRelease(
  client: S3Client,
  locator: S3Locator,
  tag: string,
  options: S3SourceOptions,
  signal: AbortSignal | undefined,
): Promise<ReleaseFiles | undefined> {
  const directory = `${locator.prefix}${tag}/`;
  const objects: S3Object[] = [];
  let hasDirectories = false;
  for await (const page of client.list({ ...options, prefix: directory, signal })) {
    objects.push(
      ...page.objects.filter((object) => !isAuditName(object.key.slice(directory.length))),
    );
    hasDirectories ||= page.prefixes.length > 0;
  }
  // Records of deploys outlive the release that they are about.
  if (objects.length === 0 && !hasDirectories) return undefined;
  const createdAt = newest(objects);
  return {
    id: directory,
    ...(createdAt === undefined ? {} : { createdAt }),
    files: objects
      .filter((object) => object.key !== directory)
      .map((object) => toArtifact(locator, directory, object)),
  };
}

/** A release is published when its last file has arrived. */
function newest(objects: readonly S3Object[]): Date | undefined {
  if (objects.length === 0) return undefined;
  return new Date(Math.max(...objects.map((object) => object.lastModified.getTime())));
}

function toArtifact(locator: S3Locator, directory: string, object: S3Object): Artifact {
  const { region, bucket, endpoint } = locator;
  return {
    name: object.key.slice(directory.length),
    url: formatS3ArtifactUrl({ region, bucket, key: object.key, endpoint }),
    size: object.size,
    revision: formatRevision(object),
  };
}

/** The entity tag changes with the bytes; storing the same bytes again is no change. */
function formatRevision(object: S3Object): string {
  return `${object.etag || object.lastModified.toISOString()} ${object.size}`;
}

/**
 * The entity tag in an artifact's revision.
 *
 * @param artifact an artifact of this source.
 * @returns the entity tag, quotes included; `undefined` where the server states none.
 */
export function etagOf(artifact: Artifact): string | undefined {
  return /^(?:W\/)?"[^"]*"|^[0-9a-f]{32}(?:-\d+)?(?= )/.exec(artifact.revision ?? "")?.[0];
}
