import { joinSignals } from "../../core/timeout.ts";
import type { OpenOptions, Registry } from "../../core/types.ts";
import { type SplitUrl, splitUrl } from "../../core/url.ts";
import type { RegistryContext } from "../driver.ts";
import {
  type ObjectPage,
  type ObjectStore,
  objectRegistry,
  type StoredObject,
} from "../object_layout.ts";
import { createGcsClient, type GcsClient } from "./client.ts";
import { formatGsArtifactUrl, type GsLocator, parseGsArtifactUrl } from "./locator.ts";
import type { GcsObject } from "./schema.ts";

/**
 * Opens a registry in Google Cloud Storage. An idle poll costs two requests: the tags and the files of the newest one
 * (and one more for every further 1,000).
 */
export function openGs(
  locator: GsLocator,
  io: RegistryContext,
  options: GsStoreOptions = {},
): Registry {
  const client = createGcsClient(locator.bucket, io);
  return objectRegistry({
    locator,
    io,
    store: gsStore(client, locator, options),
    get(artifact, open) {
      const { object } = parseGsArtifactUrl(splitUrl(artifact.url, "the artifact URL"));
      // Parts of two objects must never be joined.
      return client.get(object, { ...open, generation: artifact.revision });
    },
    create: (name, signal) => client.create(name, "", "text/plain", signal),
  });
}

export async function openGsArtifact(
  url: SplitUrl,
  io: RegistryContext,
  options: OpenOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  const { bucket, object } = parseGsArtifactUrl(url);
  const signal = joinSignals(options.signal, io.signal);
  return createGcsClient(bucket, io).get(object, { ...options, signal });
}

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
