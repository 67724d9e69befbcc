import * as v from "valibot";
import { checkAnswer } from "./error.ts";

/** The media types of manifests that dewy asks for. */
export const MANIFEST_TYPES: string = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

const INDEX_TYPES = new Set([
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
]);
const CONFIG_TYPES = new Set([
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
]);
// https://github.com/opencontainers/image-spec/blob/main/descriptor.md#registered-algorithms
const DIGEST = /^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** What content of a registry is called by. */
export interface Descriptor {
  /** Its media type; empty: not said. */
  mediaType: string;
  /** `sha256:<hex>` or `sha512:<hex>`. */
  digest: string;
  /** Bytes. */
  size: number;
}

/** The machine that an image is for, in Go's spelling; empty parts are not said. */
export interface ImagePlatform {
  /** `linux`, … */
  os: string;
  /** `amd64`, … */
  architecture: string;
  /** `v7`, … */
  variant: string;
}

/** An entry of an index. */
export interface IndexEntry extends Descriptor {
  /** The machine it is for; `undefined`: not said. */
  platform: ImagePlatform | undefined;
  /** It is another index. */
  isIndex: boolean;
}

/** One manifest, whatever it is of. */
export type Manifest =
  | { kind: "index"; entries: readonly IndexEntry[] }
  | { kind: "image"; config: Descriptor; size: number }
  /** A chart, a signature, something that no container can be made of. */
  | { kind: "other"; type: string };

/** What an image says of itself. */
export interface ImageConfig {
  /** The machine it is for. */
  platform: ImagePlatform;
  /** When it was made; `undefined` where it does not say so, as in reproducible builds. */
  createdAt: Date | undefined;
}

/** @returns whether a text is a digest of an algorithm that every registry knows. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

const optionalText = v.nullish(v.string(), "");
const size = v.pipe(v.number(), v.integer(), v.minValue(0));
const descriptor = v.object({
  mediaType: optionalText,
  digest: v.pipe(v.string(), v.regex(DIGEST)),
  size,
});
const platform = v.object({ os: optionalText, architecture: optionalText, variant: optionalText });
const annotations = v.nullish(v.record(v.string(), v.unknown()), {});

const Tags = v.object({
  // A repository whose tags have all been deleted says null; what says nothing of tags is no such answer.
  tags: v.nullable(v.array(v.string()), []),
});

// https://github.com/opencontainers/image-spec/blob/main/image-index.md
const Index = v.object({
  manifests: v.array(
    v.object({
      ...descriptor.entries,
      platform: v.nullish(platform),
      annotations,
    }),
  ),
});

// https://github.com/opencontainers/image-spec/blob/main/manifest.md
const Image = v.object({
  config: descriptor,
  layers: v.array(v.object({ size })),
});

// https://github.com/opencontainers/image-spec/blob/main/config.md
const Config = v.object({ ...platform.entries, created: optionalText });

const Shape = v.looseObject({
  manifests: v.optional(v.unknown()),
  config: v.optional(v.unknown()),
  schemaVersion: v.optional(v.unknown()),
});

/** Reads a page of `tags/list`. */
export function parseTags(answer: unknown, url: string | URL): readonly string[] {
  return checkAnswer(Tags, answer, url).tags;
}

/**
 * Reads a manifest; its shape tells what it is, since not every one says its media type.
 *
 * @param answer the JSON.
 * @param url where it came from.
 * @returns the manifest.
 * @throws RemoteError that names the field which is wrong.
 */
export function parseManifest(answer: unknown, url: string | URL): Manifest {
  const shape = checkAnswer(Shape, answer, url);
  if (shape.manifests !== undefined) return readIndex(answer, url);
  if (shape.schemaVersion === 1) return { kind: "other", type: "an image of the old schema 1" };
  const { config, layers } = checkAnswer(Image, answer, url);
  if (!CONFIG_TYPES.has(config.mediaType) && config.mediaType !== "") {
    return { kind: "other", type: config.mediaType };
  }
  return {
    kind: "image",
    config,
    size: layers.reduce((sum, layer) => sum + layer.size, config.size),
  };
}

function readIndex(answer: unknown, url: string | URL): Manifest {
  const { manifests } = checkAnswer(Index, answer, url);
  const entries = manifests
    // Attestations of BuildKit: https://docs.docker.com/build/metadata/attestations/attestation-storage/
    .filter((one) => one.annotations["vnd.docker.reference.type"] === undefined)
    .filter((one) => one.platform?.os !== "unknown" && one.platform?.architecture !== "unknown")
    .map(({ mediaType, digest, size: bytes, platform: of }) => ({
      mediaType,
      digest,
      size: bytes,
      platform: of ?? undefined,
      isIndex: INDEX_TYPES.has(mediaType),
    }));
  return { kind: "index", entries };
}

/** Reads the configuration of an image. */
export function parseImageConfig(answer: unknown, url: string | URL): ImageConfig {
  const { created, ...of } = checkAnswer(Config, answer, url);
  const time = Date.parse(created);
  // Reproducible builds say the epoch, or year 1.
  const createdAt = Number.isNaN(time) || time <= 0 ? undefined : new Date(time);
  return { platform: of, createdAt };
}
