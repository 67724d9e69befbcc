import type { ObjectPage, ObjectStore, StoredObject } from "../object_layout.ts";
import type { GcsClient } from "./client.ts";
import type { GsLocator } from "./locator.ts";
import { formatGsArtifactUrl } from "./locator.ts";
import type { GcsObject } from "./schema.ts";

/** How a bucket is listed. */
export interface GsStoreOptions {
  /** Names a page has at most; the server's own limit, 1,000, unless told. */
  maxResults?: number;
}

/**
 * Makes a store out of a bucket. An artifact may lie in directories of its own, which are then part of its name.
 *
 * @param client the bucket.
 * @param locator the prefix in it.
 * @param options how it is listed.
 * @returns the store; a listing costs a request for every 1,000 entries.
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
      ...(digest === undefined ? {} : { digest }),
    },
  };
}
