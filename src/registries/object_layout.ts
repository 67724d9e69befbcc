/**
 * The layout `<prefix><tag>/<artifact>`, read as releases; common to the stores of objects.
 *
 * @module
 */

import { IntegrityError } from "../core/error.ts";
import { joinSignals } from "../core/timeout.ts";
import type { Artifact, OpenOptions, Registry } from "../core/types.ts";
import { redactUrl } from "../core/url.ts";
import type { ListedTag, ReleaseFiles } from "../resolve/resolve.ts";
import { auditName, isAuditName } from "./audit.ts";
import type { LocatorBase, RegistryContext } from "./driver.ts";
import { listRegistry, skipAbandoned } from "./list_registry.ts";

export interface StoredObject {
  /** Its whole name, prefix included. */
  name: string;
  /** When its bytes were stored. */
  storedAt: Date;
  /** The artifact without its name. */
  artifact: Omit<Artifact, "name">;
}

export interface ObjectPage {
  /** The "directories" up to the next `/`, which they end in. */
  directories: readonly string[];
  objects: readonly StoredObject[];
}

export interface ObjectStore {
  /** The part before the tags: empty, or ends in `/`. */
  prefix: string;
  listTags(signal: AbortSignal | undefined): AsyncIterable<Pick<ObjectPage, "directories">>;
  listFiles(directory: string, signal: AbortSignal | undefined): AsyncIterable<ObjectPage>;
}

interface ObjectRegistryParts {
  locator: LocatorBase & { prefix: string };
  io: RegistryContext;
  store: ObjectStore;
  get(artifact: Artifact, options: OpenOptions & { size?: number }): ReturnType<Registry["open"]>;
  /** Stores an empty object; an existing one counts as success. */
  create(name: string, signal: AbortSignal | undefined): Promise<void>;
}

/** Makes a registry of a bucket: one listing for the tags, one for the files of a tag. */
export function objectRegistry({ locator, io, store, get, create }: ObjectRegistryParts): Registry {
  const signalOf = (given?: { signal?: AbortSignal }): AbortSignal | undefined =>
    joinSignals(given?.signal, io.signal);
  return skipAbandoned(
    listRegistry({
      locator,
      io,
      source: {
        tags: (signal) => listTags(store, signal),
        release: (tag, signal) => readRelease(store, tag, signal),
        find: async (tag, signal) =>
          tag.includes("/") ? undefined : readRelease(store, tag, signal),
      },
      async open(artifact, options) {
        if (isComplete(artifact, options?.offset ?? 0)) return new Blob([]).stream();
        return get(artifact, { ...options, size: artifact.size, signal: signalOf(options) });
      },
      exists: (tag, options) => holdsRelease(store, tag, signalOf(options)),
      async report(deployment, options) {
        if (deployment.error !== undefined) return; // A record says that something was shipped.
        const name = `${locator.prefix}${deployment.tag}/${auditName(deployment)}`;
        await create(name, signalOf(options));
      },
    }),
  );
}

async function* listTags(
  store: ObjectStore,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedTag> {
  for await (const page of store.listTags(signal)) {
    for (const directory of page.directories) {
      const tag = directory.slice(store.prefix.length, -1);
      if (tag !== "") yield { tag };
    }
  }
}

async function readRelease(
  store: ObjectStore,
  tag: string,
  signal: AbortSignal | undefined,
): Promise<ReleaseFiles | undefined> {
  const directory = `${store.prefix}${tag}/`;
  const files: Artifact[] = [];
  let newest = Number.NEGATIVE_INFINITY;
  let hasDirectories = false;
  for await (const page of store.listFiles(directory, signal)) {
    hasDirectories ||= page.directories.length > 0;
    for (const { name, storedAt, artifact } of publishedIn(page, directory)) {
      newest = Math.max(newest, storedAt.getTime());
      // Consoles make empty objects that stand for directories.
      if (!name.endsWith("/")) files.push({ name: name.slice(directory.length), ...artifact });
    }
  }
  const isDated = Number.isFinite(newest);
  if (!isDated && !hasDirectories) return undefined;
  // A release is published when its last file has arrived.
  return { id: directory, createdAt: isDated ? new Date(newest) : undefined, files };
}

/** Records of deploys outlive the release that they are about. */
function publishedIn(page: ObjectPage, directory: string): StoredObject[] {
  return page.objects.filter(({ name }) => !isAuditName(name.slice(directory.length)));
}

async function holdsRelease(
  store: ObjectStore,
  tag: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const directory = `${store.prefix}${tag}/`;
  for await (const page of store.listFiles(directory, signal)) {
    if (page.directories.length > 0 || publishedIn(page, directory).length > 0) return true;
  }
  return false;
}

function isComplete(artifact: Artifact, offset: number): boolean {
  if (artifact.size === undefined || offset < artifact.size) return false;
  if (offset === artifact.size) return offset > 0;
  throw new IntegrityError(
    `Cannot resume "${redactUrl(artifact.url)}" at byte ${offset}: it has ${artifact.size}; start again`,
  );
}
