import * as v from "valibot";
import { parseResponse } from "./errors.ts";

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

export interface IndexEntry extends Descriptor {
  /** `undefined` if not stated. */
  platform: ImagePlatform | undefined;
  isIndex: boolean;
}

export type Manifest =
  | { kind: "index"; entries: readonly IndexEntry[] }
  | { kind: "image"; config: Descriptor; size: number }
  /** A chart, a signature or anything else that is not an image. */
  | { kind: "other"; type: string };

export interface ImageConfig {
  platform: ImagePlatform;
  /** `undefined` if not stated, as in reproducible builds. */
  createdAt: Date | undefined;
}

/** Whether the text is a digest of an algorithm that every registry supports. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

const optionalText = v.nullish(v.string(), "");
const size = v.pipe(v.number(), v.integer(), v.minValue(0));
/** Media type, digest (`sha256:<hex>` or `sha512:<hex>`) and size in bytes of some content. */
export const Descriptor = v.object({
  mediaType: optionalText,
  digest: v.pipe(v.string(), v.regex(DIGEST)),
  size,
});
/** In Go's spelling: `linux`, `arm`, `v7`. Parts may be empty. */
const ImagePlatform = v.object({
  os: optionalText,
  architecture: optionalText,
  variant: optionalText,
});
export type Descriptor = v.InferOutput<typeof Descriptor>;
export type ImagePlatform = v.InferOutput<typeof ImagePlatform>;

const annotations = v.nullish(v.record(v.string(), v.unknown()), {});

const Tags = v.object({
  // Null for a repository whose tags have all been deleted; a response without the field is not a tag list.
  tags: v.nullable(v.array(v.string()), []),
});

// https://github.com/opencontainers/image-spec/blob/main/image-index.md
const Index = v.object({
  manifests: v.array(
    v.object({
      ...Descriptor.entries,
      platform: v.nullish(ImagePlatform),
      annotations,
    }),
  ),
});

// https://github.com/opencontainers/image-spec/blob/main/manifest.md
const Image = v.object({
  config: Descriptor,
  layers: v.array(v.object({ size })),
});

// https://github.com/opencontainers/image-spec/blob/main/config.md
const Config = v.object({ ...ImagePlatform.entries, created: optionalText });

const Shape = v.looseObject({
  manifests: v.optional(v.unknown()),
  config: v.optional(v.unknown()),
  schemaVersion: v.optional(v.unknown()),
});

export function parseTags(response: unknown, url: string | URL): readonly string[] {
  return parseResponse(Tags, response, url).tags;
}

/** Parses a manifest. Its shape determines its kind, since not every manifest states its media type. */
export function parseManifest(response: unknown, url: string | URL): Manifest {
  const shape = parseResponse(Shape, response, url);
  if (shape.manifests !== undefined) return readIndex(response, url);
  if (shape.schemaVersion === 1)
    return { kind: "other", type: "an image of the outdated schema 1" };
  const { config, layers } = parseResponse(Image, response, url);
  if (!CONFIG_TYPES.has(config.mediaType) && config.mediaType !== "") {
    return { kind: "other", type: config.mediaType };
  }
  return {
    kind: "image",
    config,
    size: layers.reduce((sum, layer) => sum + layer.size, config.size),
  };
}

function readIndex(response: unknown, url: string | URL): Manifest {
  const { manifests } = parseResponse(Index, response, url);
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

export function parseImageConfig(response: unknown, url: string | URL): ImageConfig {
  const { created, ...of } = parseResponse(Config, response, url);
  const time = Date.parse(created);
  // Reproducible builds state the epoch, or year 1.
  const createdAt = Number.isNaN(time) || time <= 0 ? undefined : new Date(time);
  return { platform: of, createdAt };
}
