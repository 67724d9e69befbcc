import { HostError } from "../../core/error.ts";
import type { ImageRegistry } from "../../registries/oci/image_registry.ts";
import type { ContainerEngine, EngineImage } from "../engine/engine.ts";

/** Where images come from, and where they go. */
export interface FetchImageOptions {
  engine: ContainerEngine;
  registry: ImageRegistry;
}

/** An image that is here. */
export interface FetchedImage {
  image: EngineImage;
  /** The image by digest. */
  reference: string;
}

/**
 * Pulls an image with the credential that the registry accepts, and gives it a name of its own, so that nobody removes
 * it as one that is not needed.
 *
 * @param digest the digest of its manifest.
 * @param name the name.
 * @param options the registry and the engine.
 * @param signal ends it.
 * @returns what the engine says of it.
 * @throws DewyError when the registry or the engine refuses.
 */
export async function fetchImage(
  digest: string,
  name: string,
  { engine, registry }: FetchImageOptions,
  signal: AbortSignal,
): Promise<FetchedImage> {
  const access = await registry.pullAccess(digest, { signal });
  const reference = access.image;
  await engine.pull({ ...access, signal });
  await engine.tag(reference, name, signal);
  const image = await engine.image(reference, signal);
  if (image === undefined) {
    throw new HostError(`Cannot use ${reference}: the engine has pulled it and does not know it`);
  }
  return { image, reference };
}
