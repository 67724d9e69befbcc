import type { Artifact, Deployment, OpenOptions, Registry, Resolution } from "../../core/types.ts";
import { type SplitUrl, splitUrl } from "../../core/url.ts";
import { auditName } from "../audit.ts";
import type { RegistryContext } from "../driver.ts";
import { joinSignals, listRegistry, skipAbandoned } from "../list_registry.ts";
import { holdsRelease, isComplete, objectSource } from "../object_layout.ts";
import { createS3Client, type S3Client } from "./client.ts";
import { statedDigest } from "./digest.ts";
import type { S3Locator } from "./locator.ts";
import { parseS3ArtifactUrl } from "./locator.ts";
import { etagOf, type S3StoreOptions, s3Store } from "./store.ts";

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
  const store = s3Store(client, locator, options);
  const signalOf = (given?: { signal?: AbortSignal }): AbortSignal | undefined =>
    joinSignals(given?.signal, io.signal);
  const registry = skipAbandoned(
    listRegistry({
      locator,
      io,
      source: objectSource(store),
      open: (artifact, open) => openObject(client, artifact, open, signalOf(open)),
      exists: (tag, exist) => holdsRelease(store, tag, signalOf(exist)),
      report: (deployment, report) => writeRecord(client, locator, deployment, signalOf(report)),
    }),
  );
  const complete = digestReader(client);
  return {
    ...registry,
    resolve: async (options) => complete(await registry.resolve(options), signalOf(options)),
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
      const headers = await client.head(keyOf(artifact), { ...expected(artifact), signal });
      // Replaced or deleted since it was listed: the next poll will tell.
      if (headers === undefined) return resolution;
      if (known.size >= MAX_DIGESTS) known.clear();
      known.set(id, statedDigest(headers));
    }
    const digest = known.get(id);
    return digest === undefined ? resolution : { ...resolution, artifact: { ...artifact, digest } };
  };
}

async function openObject(
  client: S3Client,
  artifact: Artifact,
  options: OpenOptions | undefined,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<Uint8Array>> {
  if (isComplete(artifact, options?.offset ?? 0)) return new Blob([]).stream();
  // Bytes of two objects must never be joined: every part has to be of the one that was chosen.
  const { size } = artifact;
  return client.get(keyOf(artifact), { ...options, size, ...expected(artifact), signal });
}

async function writeRecord(
  client: S3Client,
  locator: S3Locator,
  deployment: Deployment,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (deployment.error !== undefined) return; // A record says that something was shipped.
  const key = `${locator.prefix}${deployment.tag}/${auditName(deployment)}`;
  await client.put(key, "", "text/plain", signal);
}

/** Streams the bytes behind an artifact URL. */
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

function expected(artifact: Artifact): { etag?: string } {
  const etag = etagOf(artifact);
  return etag === undefined ? {} : { etag };
}
