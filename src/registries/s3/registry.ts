import { base64ToBytes, bytesToHex } from "../../core/encoding.ts";
import { joinSignals } from "../../core/timeout.ts";
import type { Artifact, OpenOptions, Registry, Resolution } from "../../core/types.ts";
import { type SplitUrl, splitUrl } from "../../core/url.ts";
import type { RegistryContext } from "../driver.ts";
import {
  type ObjectPage,
  type ObjectStore,
  objectRegistry,
  type StoredObject,
} from "../object_layout.ts";
import { createS3Client, type S3Client } from "./client.ts";
import { formatS3ArtifactUrl, parseS3ArtifactUrl, type S3Locator } from "./locator.ts";
import type { S3Object } from "./xml.ts";

/**
 * Opens a registry in S3. An idle poll costs two requests: the tags and the files of the newest one (and one more for
 * every further 1,000). The digest of the chosen file is asked for once, and again when its entity tag changes.
 */
export function openS3(
  locator: S3Locator,
  io: RegistryContext,
  options: S3StoreOptions = {},
): Registry {
  const client = createS3Client(locator, io);
  const registry = objectRegistry({
    locator,
    io,
    store: s3Store(client, locator, options),
    // Parts of two objects must never be joined.
    get: (artifact, open) => client.get(keyOf(artifact), { ...open, etag: etagOf(artifact) }),
    create: (key, signal) => client.put(key, "", "text/plain", { isNew: true, signal }),
  });
  const complete = digestReader(client);
  return {
    ...registry,
    link: (artifact) => client.link(keyOf(artifact)),
    async resolve(options) {
      const signal = joinSignals(options?.signal, io.signal);
      return complete(await registry.resolve(options), signal);
    },
  };
}

/** One for each kind of machine that asks is enough. */
const MAX_DIGESTS = 64;

/** Adds the digest that S3 states. A listing has none, so that the object itself is asked, but not twice. */
function digestReader(
  client: S3Client,
): (resolution: Resolution, signal: AbortSignal | undefined) => Promise<Resolution> {
  const known = new Map<string, string | undefined>();
  return async (resolution, signal) => {
    if (resolution.kind !== "ready") return resolution;
    const { artifact } = resolution;
    const id = `${artifact.url} ${artifact.revision}`;
    if (!known.has(id)) {
      const headers = await client.head(keyOf(artifact), { etag: etagOf(artifact), signal });
      // Replaced or deleted since it was listed: the next poll lists again.
      if (headers === undefined) return resolution;
      if (known.size >= MAX_DIGESTS) known.clear();
      known.set(id, statedDigest(headers));
    }
    const digest = known.get(id);
    return digest === undefined ? resolution : { ...resolution, artifact: { ...artifact, digest } };
  };
}

export async function openS3Artifact(
  url: SplitUrl,
  io: RegistryContext,
  options: OpenOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  const at = parseS3ArtifactUrl(url);
  const client = createS3Client(at, io);
  return client.get(at.key, { ...options, signal: joinSignals(options.signal, io.signal) });
}

function keyOf(artifact: Artifact): string {
  return parseS3ArtifactUrl(splitUrl(artifact.url, "the artifact URL")).key;
}

// The strongest first, with lengths in bytes.
const CHECKSUMS: readonly (readonly [string, number])[] = [
  ["sha256", 32],
  ["crc64nvme", 8],
  ["crc32c", 4],
  ["crc32", 4],
  ["sha1", 20],
];

/**
 * The digest in the headers of an object, as `<algorithm>:<lower-case hex>`: a checksum over the whole object, else the
 * MD5 of a simple ETag. Checksums of checksums (multipart uploads) cannot be compared with a stream of bytes.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
 */
export function statedDigest(headers: Headers): string | undefined {
  return statedChecksum(headers) ?? simpleEtag(headers);
}

function statedChecksum(headers: Headers): string | undefined {
  if (headers.get("x-amz-checksum-type")?.toUpperCase() === "COMPOSITE") return undefined;
  for (const [algorithm, length] of CHECKSUMS) {
    // A composite checksum without a type ends in "-<parts>", which is not base64.
    const bytes = base64ToBytes(headers.get(`x-amz-checksum-${algorithm}`) ?? "");
    if (bytes?.length === length) return `${algorithm}:${bytesToHex(bytes)}`;
  }
  return undefined;
}

function simpleEtag(headers: Headers): string | undefined {
  const encryption = headers.get("x-amz-server-side-encryption") ?? "";
  const customerKey = headers.has("x-amz-server-side-encryption-customer-algorithm");
  if (encryption.startsWith("aws:kms") || customerKey) return undefined;
  const [, md5] = /^"?([0-9a-f]{32})"?$/.exec(headers.get("etag") ?? "") ?? [];
  return md5 === undefined ? undefined : `md5:${md5}`;
}

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
