import type { Artifact } from "../../core/types.ts";
import type { ObjectPage, ObjectStore, StoredObject } from "../object_layout.ts";
import type { S3Client } from "./client.ts";
import type { S3Locator } from "./locator.ts";
import { formatS3ArtifactUrl } from "./locator.ts";
import type { S3Object } from "./xml.ts";

/** How a bucket is listed. */
export interface S3StoreOptions {
  /** Keys a page has at most; the server's own limit, 1,000, unless told. */
  maxKeys?: number;
}

/**
 * A prefix in a bucket, as the object layout reads it: 1,000 entries a request.
 *
 * @param client the bucket.
 * @param locator the prefix in it.
 * @param options how it is listed.
 * @returns the store.
 */
export function s3Store(
  client: S3Client,
  locator: S3Locator,
  options: S3StoreOptions = {},
): ObjectStore {
  async function* list(
    prefix: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ObjectPage> {
    for await (const { prefixes, objects } of client.list({ ...options, prefix, signal })) {
      yield { directories: prefixes, objects: objects.map((object) => stored(locator, object)) };
    }
  }
  return {
    prefix: locator.prefix,
    listTags: (signal) => list(locator.prefix, signal),
    listFiles: list,
  };
}

function stored(locator: S3Locator, object: S3Object): StoredObject {
  const { region, bucket, endpoint } = locator;
  const { key, size, lastModified } = object;
  const url = formatS3ArtifactUrl({ region, bucket, key, endpoint });
  return {
    name: key,
    storedAt: lastModified,
    artifact: { url, size, revision: formatRevision(object) },
  };
}

/** The entity tag changes with the bytes; storing the same bytes again is no change. */
function formatRevision(object: S3Object): string {
  return `${object.etag || object.lastModified.toISOString()} ${object.size}`;
}

/**
 * The entity tag in an artifact's revision.
 *
 * @param artifact an artifact of this store.
 * @returns the entity tag, quotes included; `undefined` where the server states none.
 */
export function etagOf(artifact: Artifact): string | undefined {
  return /^"[^"]*"|^[0-9a-f]{32}(?:-\d+)?(?= )/.exec(artifact.revision ?? "")?.[0];
}
