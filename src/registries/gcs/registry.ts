import type { Artifact, Deployment, OpenOptions, Registry } from "../../core/types.ts";
import { type SplitUrl, splitUrl } from "../../core/url.ts";
import { auditName } from "../audit.ts";
import type { RegistryContext } from "../driver.ts";
import { joinSignals, listRegistry, skipAbandoned } from "../list_registry.ts";
import { holdsRelease, isComplete, objectSource } from "../object_layout.ts";
import { createGcsClient, type GcsClient } from "./client.ts";
import type { GsLocator } from "./locator.ts";
import { parseGsArtifactUrl } from "./locator.ts";
import { type GsStoreOptions, gsStore } from "./store.ts";

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
  const store = gsStore(client, locator, options);
  const signalOf = (given?: { signal?: AbortSignal }): AbortSignal | undefined =>
    joinSignals(given?.signal, io.signal);
  return skipAbandoned(
    listRegistry({
      locator,
      io,
      source: objectSource(store),
      open: async (artifact, open) => openObject(client, artifact, open, signalOf(open)),
      exists: (tag, exist) => holdsRelease(store, tag, signalOf(exist)),
      report: (deployment, report) => writeRecord(client, locator, deployment, signalOf(report)),
    }),
  );
}

async function openObject(
  client: GcsClient,
  artifact: Artifact,
  options: OpenOptions | undefined,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<Uint8Array>> {
  const { object } = parseGsArtifactUrl(splitUrl(artifact.url, "the artifact URL"));
  if (isComplete(artifact, options?.offset ?? 0)) return new Blob([]).stream();
  // Bytes of two objects must never be joined: every part has to be of the one that was chosen.
  const { size, revision } = artifact;
  return client.get(object, { ...options, size, generation: revision, signal });
}

async function writeRecord(
  client: GcsClient,
  locator: GsLocator,
  deployment: Deployment,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (deployment.error !== undefined) return; // A record says that something was shipped.
  const name = `${locator.prefix}${deployment.tag}/${auditName(deployment)}`;
  await client.create(name, "", "text/plain", signal);
}

/** Streams the bytes behind an artifact URL. */
export async function openGsArtifact(
  url: SplitUrl,
  io: RegistryContext,
  options: OpenOptions = {},
): Promise<ReadableStream<Uint8Array>> {
  const { bucket, object } = parseGsArtifactUrl(url);
  const signal = joinSignals(options.signal, io.signal);
  return createGcsClient(bucket, io).get(object, { ...options, signal });
}
