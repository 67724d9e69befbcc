import type { ObjectPage, ObjectStore, StoredObject } from "../object_layout.ts";
import type { GcsClient } from "./client.ts";
import type { GsLocator } from "./locator.ts";
import { formatGsArtifactUrl } from "./locator.ts";
import type { GcsObject } from "./schema.ts";

export interface GsStoreOptions {
  /** Limit for the names of a page. Defaults to the server's own limit, 1,000. */
  maxResults?: number;
}

/**
 * A prefix in a bucket. Listing costs a request per 1,000 entries. Artifacts may be in subdirectories, which are then part
 * of their name.
 */
export function gsStore(
  client: GcsClient,
  locator: GsLocator,
  options: GsStoreOptions = {},
): ObjectStore {
  const { bucket, prefix } = locator;
  return {
    prefix,
    listTags: (signal) => list(client, bucket, { ...options, prefix, directories: true, signal }),
    listFiles: (directory, signal) =>
      list(client, bucket, { ...options, prefix: directory, signal }),
  };
}

async function* list(
  client: GcsClient,
  bucket: string,
  options: Parameters<GcsClient["list"]>[0],
): AsyncGenerator<ObjectPage> {
  for await (const { prefixes, objects } of client.list(options)) {
    yield {
      directories: prefixes,
      objects: objects.map((object) => toStored(bucket, object)),
    };
  }
}

function toStored(bucket: string, object: GcsObject): StoredObject {
  const { name, size, generation, digest, createdAt } = object;
  return {
    name,
    storedAt: createdAt,
    artifact: {
      url: formatGsArtifactUrl({ bucket, object: name }),
      size,
      revision: generation,
      digest,
    },
  };
}
