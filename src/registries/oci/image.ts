import { RemoteError } from "../../core/error.ts";
import type { ExplainedArtifact, Platform } from "../../core/types.ts";
import type { OciClient } from "./client.ts";
import { platformFit, platformName } from "./platform.ts";
import type { ImageConfig, ImagePlatform, IndexEntry, Manifest } from "./schema.ts";

/** What a tag holds for a machine. */
export interface FoundImage {
  /** The image's own manifest; `undefined`: there is none for this machine. */
  image: { digest: string; size: number } | undefined;
  /** What there is, by platform. */
  candidates: readonly ExplainedArtifact[];
  /** When the image was made, or, where none fits, another one of the same tag. */
  createdAt: Date | undefined;
}

/** An index within an index within an index is more than anybody makes. */
const MAX_DEPTH = 3;
const MAX_ENTRIES = 1_000;
/** Entries that do not say what they are for have to be read. */
const MAX_UNSAID = 16;

type Ask = Pick<OciClient, "manifest" | "config">;

/**
 * Walks from the manifest of a tag to the image for a machine.
 *
 * @param client the registry.
 * @param digest the manifest's digest.
 * @param machine the machine, in Go's spelling.
 * @param signal ends the walk.
 * @returns what was found; `undefined` when a manifest is not there (yet).
 * @throws RemoteError when an answer cannot be read, IntegrityError when one is not what its digest says.
 */
export async function findImage(
  client: Ask,
  digest: string,
  machine: Platform,
  signal: AbortSignal | undefined,
): Promise<FoundImage | undefined> {
  const manifest = await client.manifest(digest, signal);
  if (manifest === undefined) return undefined;
  if (manifest.kind !== "index") {
    const read = await readImage(client, manifest, signal);
    return judgeSingle(digest, read, machine);
  }
  const entries = await flatten(client, manifest.entries, signal);
  const known =
    entries === undefined ? undefined : await sayPlatforms(client, entries, machine, signal);
  return known === undefined ? undefined : judgeIndex(client, known, machine, signal);
}

interface ReadImage {
  /** What it is for; a text for what is no image. */
  config: ImageConfig | string;
  size: number;
}

async function readImage(
  client: Ask,
  manifest: Exclude<Manifest, { kind: "index" }>,
  signal: AbortSignal | undefined,
): Promise<ReadImage> {
  if (manifest.kind === "other") return { config: manifest.type, size: 0 };
  return { config: await client.config(manifest.config, signal), size: manifest.size };
}

/** A tag without an index: old images do not say what they are for, and are taken. */
function judgeSingle(digest: string, { config, size }: ReadImage, machine: Platform): FoundImage {
  if (typeof config === "string") {
    const candidates = [candidate(config, false, "it is no container image")];
    return { image: undefined, candidates, createdAt: undefined };
  }
  const { platform, createdAt } = config;
  const isUnsaid = platform.os === "" && platform.architecture === "";
  const fits = isUnsaid || platformFit(platform, machine) !== undefined;
  const reason = fits ? "the only image, and it fits this machine" : OTHER;
  return {
    image: fits ? { digest, size } : undefined,
    candidates: [candidate(platformName(platform), fits, reason)],
    createdAt,
  };
}

const OTHER = "it is for another platform";

async function flatten(
  client: Ask,
  entries: readonly IndexEntry[],
  signal: AbortSignal | undefined,
  depth = 1,
): Promise<IndexEntry[] | undefined> {
  const flat: IndexEntry[] = [];
  for (const entry of entries) {
    if (!entry.isIndex) flat.push(entry);
    else {
      if (depth === MAX_DEPTH) throw tooMuch("its indexes are nested too deeply");
      const inner = await client.manifest(entry.digest, signal);
      if (inner?.kind !== "index") return undefined;
      const below = await flatten(client, inner.entries, signal, depth + 1);
      if (below === undefined) return undefined;
      flat.push(...below);
    }
    if (flat.length > MAX_ENTRIES) throw tooMuch(`it has more than ${MAX_ENTRIES} images`);
  }
  return flat;
}

function tooMuch(why: string): RemoteError {
  return new RemoteError(`Cannot find an image for this machine: ${why}`, { retryable: false });
}

interface Entry {
  digest: string;
  platform: ImagePlatform;
}

/** Entries may leave out what they are for; it is looked up only where no other one fits. */
async function sayPlatforms(
  client: Ask,
  entries: readonly IndexEntry[],
  machine: Platform,
  signal: AbortSignal | undefined,
): Promise<Entry[] | undefined> {
  const said = entries.flatMap(({ digest, platform }) =>
    platform === undefined ? [] : [{ digest, platform }],
  );
  if (said.some(({ platform }) => platformFit(platform, machine) !== undefined)) return said;
  for (const { digest } of entries
    .filter((one) => one.platform === undefined)
    .slice(0, MAX_UNSAID)) {
    const manifest = await client.manifest(digest, signal);
    if (manifest === undefined) return undefined;
    if (manifest.kind !== "image") continue;
    const { platform } = await client.config(manifest.config, signal);
    said.push({ digest, platform });
  }
  return said;
}

async function judgeIndex(
  client: Ask,
  entries: readonly Entry[],
  machine: Platform,
  signal: AbortSignal | undefined,
): Promise<FoundImage | undefined> {
  const best = bestFit(entries, machine);
  const candidates = entries.map((entry) => {
    const reason =
      platformFit(entry.platform, machine) === undefined ? OTHER : "another one fits better";
    const chosen = entry === best;
    return candidate(
      platformName(entry.platform),
      chosen,
      chosen ? "it fits this machine" : reason,
    );
  });
  // Where none fits, the time of another one tells how long to wait.
  const read = best ?? entries[0];
  if (read === undefined) return { image: undefined, candidates, createdAt: undefined };
  const manifest = await client.manifest(read.digest, signal);
  if (manifest === undefined) return undefined;
  if (manifest.kind !== "image") return { image: undefined, candidates, createdAt: undefined };
  const { createdAt } = await client.config(manifest.config, signal);
  const image = best === undefined ? undefined : { digest: best.digest, size: manifest.size };
  return { image, candidates, createdAt };
}

function bestFit(entries: readonly Entry[], machine: Platform): Entry | undefined {
  let best: { entry: Entry; value: number } | undefined;
  for (const entry of entries) {
    const value = platformFit(entry.platform, machine);
    if (value !== undefined && (best === undefined || value > best.value)) best = { entry, value };
  }
  return best?.entry;
}

function candidate(name: string, chosen: boolean, reason: string): ExplainedArtifact {
  return { name, chosen, reason };
}
