import { RemoteError } from "../../core/error.ts";
import type { ExplainedArtifact, Platform } from "../../core/types.ts";
import type { OciClient } from "./client.ts";
import type { ImageConfig, ImagePlatform, IndexEntry, Manifest } from "./schema.ts";

export interface FoundImage {
  /** The image's own manifest; `undefined` if there is none for this machine. */
  image: { digest: string; size: number } | undefined;
  candidates: readonly ExplainedArtifact[];
  /** When the image was built or, if none fits, another image of the same tag. */
  createdAt: Date | undefined;
}

/** More than any builder nests. */
const MAX_DEPTH = 3;
const MAX_ENTRIES = 1_000;
/** Limit for entries without a platform, whose configuration has to be fetched. */
const MAX_UNSTATED = 16;

type ManifestReader = Pick<OciClient, "manifest" | "config">;

/** Walks from the manifest of a tag to the image for a machine. `undefined` if a manifest does not exist (yet). */
export async function findImage(
  client: ManifestReader,
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
    entries === undefined ? undefined : await withPlatforms(client, entries, machine, signal);
  return known === undefined ? undefined : judgeIndex(client, known, machine, signal);
}

interface ReadImage {
  /** A media type if the manifest is not an image. */
  config: ImageConfig | string;
  size: number;
}

async function readImage(
  client: ManifestReader,
  manifest: Exclude<Manifest, { kind: "index" }>,
  signal: AbortSignal | undefined,
): Promise<ReadImage> {
  if (manifest.kind === "other") return { config: manifest.type, size: 0 };
  return { config: await client.config(manifest.config, signal), size: manifest.size };
}

/** A tag without an index. Old images do not state a platform and are accepted. */
function judgeSingle(digest: string, { config, size }: ReadImage, machine: Platform): FoundImage {
  if (typeof config === "string") {
    const candidates = [candidate(config, false, "it is not a container image")];
    return { image: undefined, candidates, createdAt: undefined };
  }
  const { platform, createdAt } = config;
  const isUnstated = platform.os === "" && platform.architecture === "";
  const fits = isUnstated || platformFit(platform, machine) !== undefined;
  const reason = fits ? "the only image, and it fits this machine" : OTHER;
  return {
    image: fits ? { digest, size } : undefined,
    candidates: [candidate(platformName(platform), fits, reason)],
    createdAt,
  };
}

const OTHER = "it is for another platform";

async function flatten(
  client: ManifestReader,
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

/** Entries may omit the platform; it is looked up only if no other entry fits. */
async function withPlatforms(
  client: ManifestReader,
  entries: readonly IndexEntry[],
  machine: Platform,
  signal: AbortSignal | undefined,
): Promise<Entry[] | undefined> {
  const known = entries.flatMap(({ digest, platform }) =>
    platform === undefined ? [] : [{ digest, platform }],
  );
  if (known.some(({ platform }) => platformFit(platform, machine) !== undefined)) return known;
  for (const { digest } of entries
    .filter((one) => one.platform === undefined)
    .slice(0, MAX_UNSTATED)) {
    const manifest = await client.manifest(digest, signal);
    if (manifest === undefined) return undefined;
    if (manifest.kind !== "image") continue;
    const { platform } = await client.config(manifest.config, signal);
    known.push({ digest, platform });
  }
  return known;
}

async function judgeIndex(
  client: ManifestReader,
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
  // If none fits, the age of another image determines how long to wait.
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

/** The variant of a machine that does not state its own. */
const DEFAULT_VARIANT: Readonly<Record<string, string>> = { arm: "v7", arm64: "v8", amd64: "v1" };

/**
 * How well an image fits a machine: higher is better, `undefined` means that it does not run there. On macOS, containers
 * run in a Linux VM.
 *
 * @see https://github.com/containerd/platforms/blob/main/compare.go
 */
function platformFit(image: ImagePlatform, machine: Platform): number | undefined {
  const os = machine.os === "darwin" ? "linux" : machine.os;
  if (image.os !== os || image.architecture !== machine.arch) return undefined;
  const usual = DEFAULT_VARIANT[machine.arch];
  const [wanted, offered] = [machine.variant, image.variant].map((variant) =>
    variant === undefined || variant === "" ? usual : variant.toLowerCase(),
  );
  if (wanted === offered) return Number.POSITIVE_INFINITY;
  const [most, needed] = [level(wanted), level(offered)];
  // A newer machine runs images for an older one.
  return most !== undefined && needed !== undefined && needed < most ? needed : undefined;
}

/** `v7` → 7 */
function level(variant: string | undefined): number | undefined {
  const [, digits] = /^v(\d{1,2})(?:\.\d+)?$/.exec(variant ?? "") ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** `linux/arm/v7` */
function platformName({ os, architecture, variant }: ImagePlatform): string {
  return [os || "unknown", architecture || "unknown", variant]
    .filter((part) => part !== "")
    .join("/");
}
