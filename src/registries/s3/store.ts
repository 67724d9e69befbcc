import type { Artifact } from "../../core/types.ts";
import type { ObjectPage, ObjectStore, StoredObject } from "../object_layout.ts";
import type { S3Client } from "./client.ts";
import type { S3Locator } from "./locator.ts";
import { formatS3ArtifactUrl } from "./locator.ts";
import type { S3Object } from "./xml.ts";

export interface S3StoreOptions {
  /** Limit for the keys of a page. Defaults to the server's own limit, 1,000. */
  maxKeys?: number;
}

/** A prefix in a bucket. Listing costs a request per 1,000 entries. */
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

/** The entity tag changes with the bytes, not when the same bytes are stored again. */
function formatRevision(object: S3Object): string {
  return `${object.etag || object.lastModified.toISOString()} ${object.size}`;
}

/** The entity tag in an artifact's revision, quotes included. */
export function etagOf(artifact: Artifact): string | undefined {
  return /^"[^"]*"|^[0-9a-f]{32}(?:-\d+)?(?= )/.exec(artifact.revision ?? "")?.[0];
}
